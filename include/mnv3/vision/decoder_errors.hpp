// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <csetjmp>

namespace mnv3::vision {

/// How libpng and libjpeg report errors: their callback must not return, and an exception must not
/// pass through C code, so it leaves its message here and jumps.
///
/// Functions that call setjmp hold nothing that needs a destructor, and change no local variable
/// after it that they read when it returns again.
struct DecoderErrors {
  std::jmp_buf jump;
  std::array<char, 256> message{};
};

}  // namespace mnv3::vision
