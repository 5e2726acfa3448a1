// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>

#include <mnv3/config/published.hpp>

std::filesystem::path locate_elsewhere(const mnv3::PublishedWeights& weights);
