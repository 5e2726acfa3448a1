// SPDX-License-Identifier: MIT
// How often a program says that it was compiled without OpenMP: main WARNINGS_EXPECTED
// Exit code 77: this LibTorch's own threads are not OpenMP's.

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include <ATen/Config.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <mnv3/deploy/threads.hpp>

namespace {

std::string content_of(std::FILE* file) {
  std::string content;
  std::rewind(file);
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) content += static_cast<char>(c);
  return content;
}

int occurrences(const std::string& text, const std::string& what) {
  int count = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

}  // namespace

int main(int argument_count, char** arguments) {
  if (argument_count != 2 || !AT_PARALLEL_OPENMP) return argument_count != 2 ? 2 : 77;
  const int expected = std::atoi(arguments[1]);

  std::FILE* log = std::tmpfile();
  if (log == nullptr || dup2(fileno(log), STDERR_FILENO) < 0) return 2;
  at::set_num_threads(1);  // nothing is lost, so nothing is said
  mnv3::deployment::torch_threads();
  const int early = occurrences(content_of(log), "-fopenmp");
  at::set_num_threads(2);
  for (int call = 0; call < 3; ++call) mnv3::deployment::torch_threads();
  const std::string said = content_of(log);

  fmt::print("{} warnings of one thread, {} of two, {} expected:\n{}", early,
             occurrences(said, "-fopenmp"), expected, said);
  return early == 0 && occurrences(said, "-fopenmp") == expected ? 0 : 1;
}
