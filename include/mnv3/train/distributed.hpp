// SPDX-License-Identifier: MIT
#pragma once

// Training in many processes. Needs LibTorch with c10d, and libgloo to link with (Debian:
// libgloo-dev, -lgloo).

#include <mnv3/train/distributed/backend.hpp>
#include <mnv3/train/distributed/group_error.hpp>
#include <mnv3/train/distributed/process_group.hpp>
#include <mnv3/train/distributed/rendezvous.hpp>
#include <mnv3/train/distributed/sync_batch_norm.hpp>
#include <mnv3/train/group.hpp>
