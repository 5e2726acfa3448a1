// SPDX-License-Identifier: MIT
#pragma once

// Checkpoint files.

#include <mnv3/version.hpp>

#if __cplusplus >= 202002L
#include <mnv3/weights/checkpoint_file.hpp>
#include <mnv3/weights/checkpoint_reader.hpp>
#include <mnv3/weights/error.hpp>
#include <mnv3/weights/formats/checkpoint.hpp>
#include <mnv3/weights/formats/dtype.hpp>
#include <mnv3/weights/formats/tensor_entry.hpp>
#include <mnv3/weights/list.hpp>
#include <mnv3/weights/load.hpp>
#include <mnv3/weights/options.hpp>
#include <mnv3/weights/rename.hpp>
#include <mnv3/weights/report.hpp>
#include <mnv3/weights/save.hpp>
#include <mnv3/weights/state_dict.hpp>
#include <mnv3/weights/tensors/pth_writer.hpp>
#include <mnv3/weights/tensors/safetensors_writer.hpp>
#include <mnv3/weights/verify_hash.hpp>
#endif
