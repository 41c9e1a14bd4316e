// The common part of the stand-ins for iperf3. The congestion control algorithm (-C) or device
// (--bind-dev) on the command line names the attempt to make. A valid report means that the attempt
// succeeded, an `error` of "refused: EACCES" that it failed with that errno. The worker notices if
// the stand-in was killed.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>

namespace iperf3_exporter::stand_in {

struct Attempt {
  const char* word;
  bool (*act)();  // returns whether it succeeded; errno has the reason otherwise
};

// Numbers that the test passes in options of iperf3's command line; 0 if it passes none.
struct Targets {
  int port = 0;        // the port that may be connected to
  int other_port = 0;  // another listening port
  pid_t worker = 0;    // the parent
  pid_t other_worker = 0;
};

inline Targets g_targets;

// A file that can be read and mapped executable.
#ifdef __aarch64__
inline constexpr char kLibrary[] = "/lib/ld-linux-aarch64.so.1";
#else
inline constexpr char kLibrary[] = "/lib64/ld-linux-x86-64.so.2";
#endif

inline long Call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0) {
  return ::syscall(number, a, b, c, d, e);
}

inline long Address(const void* pointer) {
  return static_cast<long>(reinterpret_cast<std::uintptr_t>(pointer));
}

inline const char* Option(int argc, char** argv, const char* name) {
  for (int i = 1; i + 1 < argc; ++i) {
    if (std::strcmp(argv[i], name) == 0) return argv[i + 1];
  }
  return "";
}

inline void Print(const char* text) {
  if (::write(STDOUT_FILENO, text, std::strlen(text)) < 0) ::_exit(1);
}

inline void Act(const Attempt& attempt) {
  constexpr char kReport[] =
      R"({"start":{},"intervals":[],"end":{"streams":[{}],)"
      R"("sum_sent":{"start":0,"end":1,"seconds":1,"bytes":1000,"bits_per_second":8000,"retransmits":0},)"
      R"("sum_received":{"start":0,"end":1,"seconds":1,"bytes":1000,"bits_per_second":8000}}})"
      "\n";
  if (attempt.act()) return Print(kReport);
  char text[128];
  std::snprintf(text, sizeof text, "{\"error\":\"refused: %s\"}\n", ::strerrorname_np(errno));
  Print(text);
}

// The whole program.
inline int Main(int argc, char** argv, std::span<const Attempt> attempts) {
  if (argc == 2) {
    Print(std::strcmp(argv[1], "--version") == 0 ? "iperf 3.12 (stand-in)\n" : "--bind-dev\n");
    return 0;
  }
  g_targets = {.port = std::atoi(Option(argc, argv, "-p")),
               .other_port = std::atoi(Option(argc, argv, "-l")),
               .worker = std::atoi(Option(argc, argv, "-w")),
               .other_worker = std::atoi(Option(argc, argv, "-b"))};
  const char* word = Option(argc, argv, "-C");
  if (*word == '\0') word = Option(argc, argv, "--bind-dev");
  for (const Attempt& attempt : attempts) {
    if (std::strcmp(attempt.word, word) != 0) continue;
    Act(attempt);
    return 0;
  }
  Print("{\"error\":\"unknown word\"}\n");
  return 0;
}

}  // namespace iperf3_exporter::stand_in
