// A stand-in for iperf3 with one hazard per mode. It is called like the real one; the argument of
// --bind-dev is the mode, because a request can pass a device name unchanged. Without a mode, or
// with an unknown one, it prints a valid report.
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

// In a sanitizer build: leak detection at exit needs a tracer, which the sandbox denies.
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }

namespace {

constexpr int kExitOne = 1;

constexpr char kReport[] = R"({
	"start":	{ "version": "iperf 3.12" },
	"intervals":	[],
	"end":	{
		"streams":	[{
			"sender": { "socket": 5, "start": 0, "end": 1, "seconds": 1, "bytes": 1000000, "bits_per_second": 8000000, "retransmits": 3, "max_snd_cwnd": 65536, "max_snd_wnd": 65536, "max_rtt": 300, "min_rtt": 100, "mean_rtt": 200, "sender": true },
			"receiver": { "socket": 5, "start": 0, "end": 1, "seconds": 1, "bytes": 900000, "bits_per_second": 7200000, "sender": true }
		}],
		"sum_sent":	{ "start": 0, "end": 1, "seconds": 1, "bytes": 1000000, "bits_per_second": 8000000, "retransmits": 3, "sender": true },
		"sum_received":	{ "start": 0, "end": 1, "seconds": 1, "bytes": 900000, "bits_per_second": 7200000, "sender": true },
		"cpu_utilization_percent":	{ "host_total": 1, "host_user": 0.5, "host_system": 0.5, "remote_total": 2, "remote_user": 1, "remote_system": 1 }
	}
}
)";

constexpr char kRefused[] =
    "{\"start\":{},\"intervals\":[],\"end\":{},"
    "\"error\":\"unable to connect to server: Connection refused\"}\n";

constexpr char kFailed[] = "iperf3: error - unable to connect to server: Connection refused\n";

constexpr char kHelp[] =
    "Usage: iperf3 [-s|-c host] [options]\n --bind-dev --bidir --dscp --connect-timeout "
    "--zerocopy --congestion --cport\n";

void Print(int fd, const char* text, size_t bytes) {
  while (bytes > 0) {
    const ssize_t written = ::write(fd, text, bytes);
    if (written <= 0) _exit(kExitOne);
    text += written;
    bytes -= static_cast<size_t>(written);
  }
}

void PrintReport() { Print(STDOUT_FILENO, kReport, sizeof kReport - 1); }

void PrintReportAndExit(int) {
  PrintReport();
  _exit(0);
}

// White space, which is valid before a document; endless if `bytes` is 0.
void Fill(int fd, size_t bytes) {
  static char block[65536];
  std::memset(block, ' ', sizeof block);
  for (size_t done = 0; bytes == 0 || done < bytes; done += sizeof block) {
    Print(fd, block, sizeof block);
  }
}

void Hang() {
  for (;;) ::poll(nullptr, 0, -1);
}
void IgnoreTerm() {
  std::signal(SIGTERM, SIG_IGN);
  Hang();
}
void LateReport() {
  std::signal(SIGTERM, PrintReportAndExit);
  Hang();
}
void Refuse() { Print(STDOUT_FILENO, kRefused, sizeof kRefused - 1); }
void Truncate() { Print(STDOUT_FILENO, kReport, sizeof kReport / 2); }
void Flood() { Fill(STDOUT_FILENO, 0); }
void FloodErrors() { Fill(STDERR_FILENO, 0); }
// Prints too much only after SIGTERM.
void FloodAtTerm() {
  std::signal(SIGTERM, [](int) { FloodErrors(); });
  Hang();
}
void GibibyteReport() {
  Fill(STDOUT_FILENO, size_t{1} << 30U);
  PrintReport();
}
// Below the limit: accepted.
void LargeReport() {
  Fill(STDOUT_FILENO, size_t{20} << 20U);
  PrintReport();
}
void BothPipes() {
  Fill(STDERR_FILENO, 1);
  for (int i = 0; i < 8; ++i) Fill(STDOUT_FILENO, 1);
  PrintReport();
}
void CloseAndHang() {
  ::close(STDOUT_FILENO);
  ::close(STDERR_FILENO);
  Hang();
}
// Valid white space, one byte at a time, so that there is always more to wait for.
void Drip() {
  for (;;) {
    Print(STDOUT_FILENO, " ", 1);
    ::poll(nullptr, 0, 100);
  }
}
// More than one second of processor time.
void Burn() {
  while (std::clock() < 2 * CLOCKS_PER_SEC) {
  }
  PrintReport();
}
[[noreturn]] void Spin() {
  for (;;) static_cast<void>(std::clock());
}
// Leaves a process in its group, for at most 20 s.
void LeaveChild() {
  if (::fork() == 0) {
    ::alarm(20);
    Hang();
  }
  PrintReport();
}
// A real fault instead of a system call.
void Segv() {
  void* page = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  std::signal(SIGSEGV, SIG_DFL);
  *static_cast<volatile char*>(page) = 1;
}
void Kill() { ::kill(::getpid(), SIGKILL); }
void Fail() {
  Print(STDERR_FILENO, kFailed, sizeof kFailed - 1);
  _exit(kExitOne);
}
void Silent() {}

// Every number is `number`, except this host's own seconds: without those no test succeeds.
void PrintNumbers(const char* number) {
  char sum[256];
  std::snprintf(sum, sizeof sum, R"("bytes":%s,"bits_per_second":%s,"retransmits":%s)", number,
                number, number);
  char report[1024];
  const int bytes =
      std::snprintf(report, sizeof report,
                    R"({"start":{},"intervals":[],"end":{"streams":[{}],)"
                    R"("sum_sent":{"seconds":1,%s},"sum_received":{"seconds":%s,%s}}})",
                    sum, number, sum);
  Print(STDOUT_FILENO, report, static_cast<size_t>(bytes));
}
void MinusOne() { PrintNumbers("-1"); }
void Huge() { PrintNumbers("1.8e19"); }
void Null() { PrintNumbers("null"); }
void NotANumber() { PrintNumbers("NaN"); }

// A text that must not reach a log line or a page unescaped, and that is far too long.
void HostileError() {
  constexpr char kStart[] = R"({"error":"unknown \u001b[31m\"quoted\" \nlevel=info msg=ready )";
  constexpr size_t kBytes = size_t{1} << 20U;
  static char text[kBytes];
  std::memset(text, 'x', kBytes);
  Print(STDOUT_FILENO, kStart, sizeof kStart - 1);
  Print(STDOUT_FILENO, text, kBytes);
  Print(STDOUT_FILENO, "\"}", 2);
}
// JSON cannot contain these bytes, but standard error can.
void HostileWords() {
  constexpr char kWords[] = "iperf3: error - unknown \x1b[31m\"quoted\" \xff <script>\n";
  Print(STDERR_FILENO, kWords, sizeof kWords - 1);
  _exit(kExitOne);
}
void BadUtf8() {
  constexpr char kText[] = "{\"error\":\"unknown \xff\"}";
  Print(STDOUT_FILENO, kText, sizeof kText - 1);
}

struct NamedMode {
  const char* word;
  void (*act)();
};

constexpr NamedMode kModes[] = {
    {"refuse", Refuse},
    {"hang", Hang},
    {"ignore-term", IgnoreTerm},
    {"late-report", LateReport},
    {"truncate", Truncate},
    {"flood", Flood},
    {"flood-errors", FloodErrors},
    {"flood-at-term", FloodAtTerm},
    {"gib-report", GibibyteReport},
    {"large-report", LargeReport},
    {"both-pipes", BothPipes},
    {"close-hang", CloseAndHang},
    {"drip", Drip},
    {"burn", Burn},
    {"spin", Spin},
    {"leave-child", LeaveChild},
    {"segv", Segv},
    {"kill", Kill},
    {"fail", Fail},
    {"silent", Silent},
    {"minus-one", MinusOne},
    {"huge", Huge},
    {"null", Null},
    {"nan", NotANumber},
    {"hostile-error", HostileError},
    {"hostile-words", HostileWords},
    {"bad-utf8", BadUtf8},
};

const char* Mode(int argc, char** argv) {
  for (int i = 1; i + 1 < argc; ++i) {
    if (std::strcmp(argv[i], "--bind-dev") == 0) return argv[i + 1];
  }
  return "";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--version") == 0) {
    Print(STDOUT_FILENO, "iperf 3.12 (fake)\n", 18);
    return 0;
  }
  if (argc == 2 && std::strcmp(argv[1], "--help") == 0) {
    Print(STDOUT_FILENO, kHelp, sizeof kHelp - 1);
    return 0;
  }
  const char* mode = Mode(argc, argv);
  for (const NamedMode& named : kModes) {
    if (std::strcmp(named.word, mode) == 0) {
      named.act();
      return 0;
    }
  }
  PrintReport();
}
