// What a program that stands in for iperf3 has to say, and how it is told what to do: the word
// behind
// --bind-dev names one of its attempts. A good report tells that the attempt worked, an `error` of
// "refused: EACCES" that it was answered with that errno. If it was killed its worker knows.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>

namespace iperf3_exporter::stand_in {

struct Attempt {
  const char* word;
  bool (*act)();  // whether it got what it wanted; errno tells why not
};

// Numbers that the test has hidden in options of iperf3's command line; 0 where it has none.
struct Targets {
  int port = 0;        // the one that may be connected to
  int other_port = 0;  // where somebody listens too
  pid_t worker = 0;    // the parent
  pid_t other_worker = 0;
};

inline Targets g_targets;

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
      R"({"start":{},"intervals":[],"end":{"streams":[],)"
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
  const char* word = Option(argc, argv, "--bind-dev");
  for (const Attempt& attempt : attempts) {
    if (std::strcmp(attempt.word, word) != 0) continue;
    Act(attempt);
    return 0;
  }
  Print("{\"error\":\"unknown word\"}\n");
  return 0;
}

}  // namespace iperf3_exporter::stand_in
