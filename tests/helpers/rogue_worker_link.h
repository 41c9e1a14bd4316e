// A link to the rogue worker (rogue_worker.cc) whose name is its mode.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <string>

#include "tests/test_paths.h"

namespace iperf3_exporter {

class RogueWorkerLink {
 public:
  explicit RogueWorkerLink(const std::string& mode)
      : path_(std::filesystem::temp_directory_path() /
              ("rogue." + std::to_string(::getpid()) + ".rogue_worker_" + mode)) {
    std::filesystem::remove(path_);
    std::filesystem::create_symlink(BuiltProgram("rogue_worker"), path_);
  }
  ~RogueWorkerLink() { std::filesystem::remove(path_); }
  RogueWorkerLink(const RogueWorkerLink&) = delete;
  RogueWorkerLink& operator=(const RogueWorkerLink&) = delete;

  [[nodiscard]] std::string path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace iperf3_exporter
