// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <exception>
#include <iostream>
#include <string>

/// What the tools' programs do: obeys standard input line by line and answers each with "ok", or with
/// what went wrong, in one line. tool_process.py is the other side.
template <class Obey>
void serve(Obey obey) {
  for (std::string line; std::getline(std::cin, line);) {
    std::string answer = "ok";
    try {
      obey(line);
    } catch (const std::exception& error) {
      answer = std::string("error: ") + error.what();
      std::replace(answer.begin(), answer.end(), '\n', ' ');
    }
    std::cout << answer << std::endl;
  }
}
