// SPDX-License-Identifier: MIT
#pragma once

// Checkpoint files.

#include <mnv3/weights/error.hpp>
#include <mnv3/weights/load.hpp>
#include <mnv3/weights/pth_reader.hpp>
#include <mnv3/weights/pth_writer.hpp>
#include <mnv3/weights/report.hpp>
#include <mnv3/weights/save.hpp>
#include <mnv3/weights/state_dict.hpp>
#include <mnv3/weights/verify_hash.hpp>
