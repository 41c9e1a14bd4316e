// Runs a fuzz target once for each file in the directories on the command line. Fails if there is
// no file, because a missing corpus must not pass. `--first=BYTES` runs each file once for each of
// these bytes, prepended to it.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

void Run(const std::string& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}

void RunFile(const std::filesystem::path& path, std::string_view first_bytes) {
  std::ifstream in(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  if (first_bytes.empty()) Run(bytes);
  for (const char first : first_bytes) Run(first + bytes);
}

}  // namespace

int main(int argc, char** argv) {
  constexpr std::string_view kFirst = "--first=";
  std::string_view first_bytes;
  int files = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument.starts_with(kFirst)) {
      first_bytes = argument.substr(kFirst.size());
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argument)) {
      if (!entry.is_regular_file()) continue;
      RunFile(entry.path(), first_bytes);
      ++files;
    }
  }
  std::printf("%d files\n", files);
  return files > 0 ? 0 : 1;
}
