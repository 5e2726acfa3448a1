// SPDX-License-Identifier: MIT
// Whichever allocation fails while a file is read, nothing but std::bad_alloc comes out, and nothing
// leaks: built with AddressSanitizer, given files (see corpus.py of fuzz/) on the command line.
#include <mnv3/weights/checkpoint_file.hpp>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <new>
#include <span>
#include <string>
#include <vector>

namespace {

long until_failure = -1;

bool fails() { return until_failure >= 0 && until_failure-- == 0; }

void read_all(const std::string& bytes) {
  const mnv3::CheckpointFile file(std::as_bytes(std::span(bytes)));
  for (const mnv3::TensorEntry& entry : file.entries()) {
    if (!entry.unreadable.empty()) continue;
    std::vector<char> span(file.span_bytes(entry));
    file.copy(std::span(&entry, 1),
              [&](const mnv3::TensorEntry&, std::size_t) { return span.data(); });
    try {
      file.values<float>(entry);
    } catch (const mnv3::WeightsError&) {  // integers
    }
  }
}

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
  void* const memory = fails() ? nullptr : std::malloc(size > 0 ? size : 1);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    std::ifstream stream(argv[i], std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(stream), {}};
    long failures = 0;
    for (bool has_failed = true; has_failed; failures += has_failed) {
      has_failed = false;
      until_failure = failures;
      try {
        read_all(bytes);
      } catch (const std::bad_alloc&) {
        has_failed = true;
      } catch (const mnv3::WeightsError&) {
      }
      until_failure = -1;
      if (failures > 2000) break;  // more of the same
    }
    std::printf("%s: %ld allocations\n", argv[i], failures);
    if (failures == 0) return 1;  // nothing was tried
  }
  return argc > 1 ? 0 : 1;
}
