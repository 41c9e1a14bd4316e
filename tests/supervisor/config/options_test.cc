#include "supervisor/config/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "common/build_info.h"
#include "tests/helpers/temporary_directory.h"
#include "tests/test_paths.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::EndsWith;
using testing::Field;
using testing::HasSubstr;
using testing::StartsWith;

// Some ELF program to stand for iperf3: these tests do not start it.
const std::string kSomeProgram = BuiltProgram("iperf3_exporter_worker");

std::variant<Options, ExitRequest> Parse(const std::vector<std::string>& arguments) {
  std::vector<const char*> argv = {"iperf3_exporter"};
  const std::string iperf3 = "--iperf3.path=" + kSomeProgram;
  argv.push_back(iperf3.c_str());
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  return ParseOptions(static_cast<int>(argv.size()), argv.data());
}

Options Accepted(const std::vector<std::string>& arguments) {
  auto result = Parse(arguments);
  if (const auto* exit = std::get_if<ExitRequest>(&result)) {
    ADD_FAILURE() << exit->text;
    return {};
  }
  return std::get<Options>(std::move(result));
}

ExitRequest Exited(const std::vector<std::string>& arguments) {
  auto result = Parse(arguments);
  if (std::holds_alternative<Options>(result)) {
    ADD_FAILURE() << "accepted: " << testing::PrintToString(arguments);
    return {};
  }
  return std::get<ExitRequest>(std::move(result));
}

// One line on stderr that begins so, exit status 2.
void Refuses(const std::vector<std::string>& arguments, const std::string& words) {
  const ExitRequest exit = Exited(arguments);
  EXPECT_EQ(exit.code, 2);
  EXPECT_THAT(exit.text, StartsWith("iperf3_exporter: " + words));
  EXPECT_EQ(exit.text.find('\n'), exit.text.size() - 1) << exit.text;
}

TEST(OptionsTest, HasTheDocumentedDefaults) {
  const Options options = Accepted({});
  EXPECT_THAT(options.listen_addresses, ElementsAre(Field(&ListenAddress::text, ":9579")));
  EXPECT_EQ(options.telemetry_path, "/metrics");
  EXPECT_EQ(options.probe_path, "/probe");
  EXPECT_EQ(options.results_path, "/results");
  EXPECT_EQ(options.web_config_file, "");
  EXPECT_EQ(options.state_directory, "");
  EXPECT_FALSE(options.systemd_socket);
  EXPECT_EQ(options.max_connections, 512u);
  EXPECT_EQ(options.iperf3_path, kSomeProgram);
  EXPECT_FALSE(options.probe_times.limit);
  EXPECT_EQ(options.probe_times.offset, milliseconds(500));
  EXPECT_EQ(options.probe_times.default_timeout, seconds(30));
  EXPECT_EQ(options.probe_limits.max_period, seconds(3600));
  EXPECT_EQ(options.probe_limits.max_parallel, 128u);
  EXPECT_FALSE(options.probe_limits.max_bitrate_bits_per_second);
  EXPECT_TRUE(options.target_policy.AllowsPort(1));
  EXPECT_EQ(options.probe_retries, 0u);
  EXPECT_EQ(options.probe_page.failure_values, FailureValues::kZero);
  EXPECT_EQ(options.probe_page.labels, ProbeLabels::kPlain);
  EXPECT_EQ(options.max_queued, 256u);
  EXPECT_EQ(options.lock_scope, LockScope::kHost);
  EXPECT_EQ(options.lock_name, "iperf3_exporter");
  EXPECT_EQ(options.lock_timeout, seconds(80));
  EXPECT_EQ(options.worker_count, 4u);
  EXPECT_EQ(options.worker_path, kSomeProgram);
  EXPECT_EQ(options.sandbox, SandboxMode::kRequire);
  EXPECT_EQ(options.log_level, LogLevel::kInfo);
  EXPECT_EQ(options.log_format, LogFormat::kLogfmt);
  EXPECT_FALSE(options.config_check);
}

TEST(OptionsTest, EveryFlagReachesItsOption) {
  const Options options = Accepted({"--web.listen-address=127.0.0.1:0",
                                    "--web.listen-address",
                                    "[::1]:9579",
                                    "--web.telemetry-path=/m",
                                    "--web.probe-path=/p",
                                    "--web.config.file=/etc/hostname",
                                    "--web.systemd-socket",
                                    "--web.max-connections=7",
                                    "--state.directory=/state",
                                    "--iperf3.timeout=1m",
                                    "--probe.timeout-offset=0",
                                    "--probe.default-timeout=10s",
                                    "--probe.max-period=90s",
                                    "--probe.max-parallel=8",
                                    "--probe.max-bitrate=1G",
                                    "--probe.allow-target=10.0.0.0/8",
                                    "--probe.allow-target=*.example",
                                    "--probe.deny-target=10.9.0.0/16",
                                    "--probe.allow-port=5201-5203",
                                    "--probe.retries=3",
                                    "--probe.failure-values=absent",
                                    "--probe.labels=fork",
                                    "--probe.max-queued=0",
                                    "--lock.scope=target",
                                    "--lock.name=other",
                                    "--lock.timeout=1.5s",
                                    "--worker.count=2",
                                    "--worker.path=" + kSomeProgram,
                                    "--sandbox=best-effort",
                                    "--log.level=debug",
                                    "--log.format=json",
                                    "--config.check"});
  EXPECT_THAT(options.listen_addresses, ElementsAre(Field(&ListenAddress::text, "127.0.0.1:0"),
                                                    Field(&ListenAddress::text, "[::1]:9579")));
  EXPECT_EQ(options.telemetry_path, "/m");
  EXPECT_EQ(options.probe_path, "/p");
  EXPECT_EQ(options.web_config_file, "/etc/hostname");
  EXPECT_TRUE(options.systemd_socket);
  EXPECT_EQ(options.max_connections, 7u);
  EXPECT_EQ(options.state_directory, "/state");
  EXPECT_EQ(options.probe_times.limit, seconds(60));
  EXPECT_EQ(options.probe_times.offset, seconds(0));
  EXPECT_EQ(options.probe_times.default_timeout, seconds(10));
  EXPECT_EQ(options.probe_limits.max_period, seconds(90));
  EXPECT_EQ(options.probe_limits.max_parallel, 8u);
  EXPECT_EQ(options.probe_limits.max_bitrate_bits_per_second, 1'000'000'000u);
  EXPECT_TRUE(options.target_policy.MayAllow(*ParseHost("x.example")));
  EXPECT_TRUE(
      options.target_policy.AllowsTarget(*ParseHost("10.1.1.1"), *ParseIpAddress("10.1.1.1")));
  EXPECT_FALSE(
      options.target_policy.AllowsTarget(*ParseHost("11.1.1.1"), *ParseIpAddress("11.1.1.1")));
  EXPECT_FALSE(
      options.target_policy.AllowsTarget(*ParseHost("10.9.1.1"), *ParseIpAddress("10.9.1.1")));
  EXPECT_TRUE(options.target_policy.AllowsPort(5203));
  EXPECT_FALSE(options.target_policy.AllowsPort(5204));
  EXPECT_EQ(options.probe_retries, 3u);
  EXPECT_EQ(options.probe_page.failure_values, FailureValues::kAbsent);
  EXPECT_EQ(options.probe_page.labels, ProbeLabels::kFork);
  EXPECT_EQ(options.max_queued, 0u);
  EXPECT_EQ(options.lock_scope, LockScope::kTarget);
  EXPECT_EQ(options.lock_name, "other");
  EXPECT_EQ(options.lock_timeout, milliseconds(1500));
  EXPECT_EQ(options.worker_count, 2u);
  EXPECT_EQ(options.sandbox, SandboxMode::kBestEffort);
  EXPECT_EQ(options.log_level, LogLevel::kDebug);
  EXPECT_EQ(options.log_format, LogFormat::kJson);
  EXPECT_TRUE(options.config_check);
}

TEST(OptionsTest, KeepsNothingBetweenCalls) {
  Accepted(
      {"--worker.count=9", "--web.systemd-socket", "--log.level=debug", "--web.listen-address=:1"});
  const Options options = Accepted({});
  EXPECT_EQ(options.worker_count, 4u);
  EXPECT_FALSE(options.systemd_socket);
  EXPECT_EQ(options.log_level, LogLevel::kInfo);
  EXPECT_THAT(options.listen_addresses, ElementsAre(Field(&ListenAddress::text, ":9579")));
}

TEST(OptionsTest, AcceptsEveryFormOfAFlag) {
  for (const std::vector<std::string>& form :
       std::vector<std::vector<std::string>>{{"--worker.count=3"},
                                             {"--worker.count", "3"},
                                             {"-worker.count=3"},
                                             {"-worker.count", "3"}}) {
    EXPECT_EQ(Accepted(form).worker_count, 3u);
  }
  for (const std::string form :
       {"--web.systemd-socket", "-web.systemd-socket", "--web.systemd-socket=true"}) {
    EXPECT_TRUE(Accepted({form}).systemd_socket) << form;
  }
  for (const std::string form :
       {"--no-web.systemd-socket", "-no-web.systemd-socket", "--web.systemd-socket=false"}) {
    EXPECT_FALSE(Accepted({"--web.systemd-socket", form}).systemd_socket) << form;
  }
  EXPECT_EQ(Accepted({"--log.level=debug", "--log.level=warn"}).log_level, LogLevel::kWarn);
  EXPECT_EQ(Accepted({"--lock.name=a-b.c_d"}).lock_name, "a-b.c_d");
}

TEST(OptionsTest, HelpListsEveryFlagWithItsDefault) {
  for (const std::string form : {"--help", "-help", "-h"}) {
    const ExitRequest exit = Exited({form, "--nonsense"});
    EXPECT_EQ(exit.code, 0);
    for (const std::string flag : {"--web.listen-address=:9579",
                                   "--web.telemetry-path=/metrics",
                                   "--web.probe-path=/probe",
                                   "--web.config.file=",
                                   "--[no-]web.systemd-socket",
                                   "--web.max-connections=512",
                                   "--iperf3.path=iperf3",
                                   "--iperf3.timeout=",
                                   "--probe.timeout-offset=500ms",
                                   "--probe.default-timeout=30s",
                                   "--probe.max-period=1h",
                                   "--probe.max-parallel=128",
                                   "--probe.max-bitrate=",
                                   "--probe.allow-target=",
                                   "--probe.deny-target=",
                                   "--probe.allow-port=",
                                   "--probe.retries=0",
                                   "--probe.failure-values=zero",
                                   "--probe.max-queued=256",
                                   "--lock.scope=host",
                                   "--lock.name=iperf3_exporter",
                                   "--lock.timeout=80s",
                                   "--worker.count=4",
                                   "--worker.path=",
                                   "--sandbox=require",
                                   "--log.level=info",
                                   "--log.format=logfmt",
                                   "--[no-]config.check",
                                   "--version",
                                   "--help"}) {
      EXPECT_THAT(exit.text, HasSubstr("\n  " + flag));
    }
    EXPECT_THAT(exit.text, testing::Not(HasSubstr("flagfile")));
  }
}

TEST(OptionsTest, PrintsTheVersionAndTheBuild) {
  const ExitRequest exit = Exited({"--version"});
  EXPECT_EQ(exit.code, 0);
  EXPECT_EQ(exit.text, std::string("iperf3_exporter, version ") + kVersion + " (revision " +
                           kRevision + ", build type " + kBuildType + ")\n");
}

TEST(OptionsTest, RefusesUnknownFlags) {
  for (const std::string flag : {"--nonsense",
                                 "--web.listen_address=:1",
                                 "--flagfile=/etc/passwd",
                                 "--fromenv=x",
                                 "--tryfromenv=x",
                                 "--undefok=x",
                                 "--helpfull",
                                 "--helpshort",
                                 "--helpxml",
                                 "--helpon=x",
                                 "--logtostderr",
                                 "--v=1",
                                 "--stderrthreshold=0",
                                 "--log_dir=/tmp",
                                 "--no-nonsense",
                                 "--no-worker.count",
                                 "-x",
                                 "--=1",
                                 "--noweb.systemd-socket",
                                 "--tab_completion_word=x",
                                 "--WORKER.COUNT=1"}) {
    Refuses({flag}, "unknown flag \"" + flag + "\", expected one of those that --help lists");
  }
}

TEST(OptionsTest, SuggestsASimilarFlag) {
  EXPECT_THAT(Exited({"--web.listen_address=:1"}).text,
              EndsWith("lists, did you mean --web.listen-address?\n"));
  EXPECT_THAT(Exited({"--probe.max-perod=1s"}).text,
              EndsWith("lists, did you mean --probe.max-period?\n"));
  for (const std::string& far : {std::string("--nonsense"), std::string(1000, '-')}) {
    EXPECT_THAT(Exited({far}).text, EndsWith("lists\n"));
  }
}

TEST(OptionsTest, ErrorsNameAnExampleAndTheBounds) {
  EXPECT_THAT(Exited({"--probe.max-period=5"}).text,
              EndsWith("expected a duration such as 5m30s, from 1s to 24h\n"));
  EXPECT_THAT(Exited({"--probe.default-timeout=0"}).text,
              EndsWith("expected a duration such as 5m30s, above 0, at most 24h\n"));
  EXPECT_THAT(Exited({"--probe.retries=-1"}).text, EndsWith("expected an integer from 0 to 100\n"));
  EXPECT_THAT(Exited({"--lock.scope=x"}).text, EndsWith("expected host, bind, target or none\n"));
  EXPECT_THAT(Exited({"--log.level"}).text, EndsWith("expected debug, info, warn or error\n"));
  EXPECT_THAT(Exited({"--iperf3.path=no-such-iperf3"}).text,
              EndsWith(": install iperf3 or set this flag\n"));
}

TEST(OptionsTest, RefusesStrayArguments) {
  for (const std::string argument : {"stray", "-", "--", "", "true"}) {
    Refuses({argument}, "unexpected argument \"" + argument + "\", expected flags alone");
  }
  Refuses({"--web.systemd-socket", "true"}, "unexpected argument \"true\"");
  Refuses({"--no-web.systemd-socket=true"}, "unexpected value in");
  Refuses({"--worker.count"}, "--worker.count: got no value, expected an integer from 1 to 128");
}

TEST(OptionsTest, RefusesBadValues) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases = {
      {"web.listen-address", {"", "9579", "host", "127.0.0.1:99999", "unix:", "[::1]"}},
      {"web.telemetry-path",
       {"", "metrics", "/", "/health", "/ready", "/-/reload", "/a b", "/a?b", "/\xff"}},
      {"web.probe-path", {"", "probe", "/lock-status", "/-/healthy", "/-/ready"}},
      {"web.results-path", {"", "results", "/metrics", "/probe", "/config"}},
      {"web.systemd-socket", {"maybe", "2"}},
      {"web.max-connections",
       {"", "0", "100001", "-1", "x", "0x10", " 5", "5 ", "99999999999999999999"}},
      {"iperf3.timeout", {"30", "-1s", "25h", "x"}},
      {"probe.timeout-offset", {"", "1", "-1s", "25h"}},
      {"probe.default-timeout", {"", "0", "30", "-1s"}},
      {"probe.max-period", {"", "0", "999ms", "25h", "5"}},
      {"probe.max-parallel", {"0", "129", "x"}},
      {"probe.max-bitrate", {"0", "x", "1M/5", "-1"}},
      {"probe.allow-target",
       {"", "10.0.0.1/8", "10.0.0.0/33", "a b", "*", "*.", "*x", "http://h", "-h", "a..b"}},
      {"probe.deny-target", {"", "10.0.0.1/8", "host.example", "*.example", "fe80::1%lo"}},
      {"probe.allow-port", {"", "0", "65536", "5-1", "a", "1-", "-5", "1-2-3"}},
      {"probe.retries", {"101", "-1", "x"}},
      {"probe.failure-values", {"", "one", "Zero"}},
      {"probe.max-queued", {"100001", "x"}},
      {"lock.scope", {"", "world", "Host"}},
      {"lock.name", {"", ".x", "..", "-x", "a/b", "a b", "\xff", std::string(65, 'a')}},
      {"lock.timeout", {"", "80", "-1s"}},
      {"worker.count", {"0", "129", "1.5"}},
      {"worker.path", {"iperf3_exporter_worker", "/nonexistent/worker", "/tmp"}},
      {"iperf3.path",
       {"", "/nonexistent/iperf3", "./iperf3", "no-such-program-here", "/etc/passwd"}},
      {"sandbox", {"", "none", "off"}},
      {"log.level", {"", "trace", "INFO"}},
      {"log.format", {"", "xml"}},
      {"config.check", {"maybe"}},
  };
  for (const auto& [flag, values] : cases) {
    for (const std::string& value : values) {
      SCOPED_TRACE(testing::Message() << flag << '=' << value);
      const std::string option = std::string("--").append(flag);
      Refuses({std::string(option).append("=").append(value)},
              std::string(option).append(": got \""));
      EXPECT_THAT(Exited({option, value}).text, HasSubstr(", expected "));
    }
  }
  Refuses({"--lock.name=a\nb"}, "--lock.name: got \"a\\nb\", expected ");
}

TEST(OptionsTest, AddressesMustNotOverlap) {
  Refuses({"--web.listen-address=[::1]:9579", "--web.listen-address=unix:/x",
           "--web.listen-address=:9579"},
          "--web.listen-address: got \":9579\", expected an address that does not overlap with the "
          "other one, \"[::1]:9579\"");
}

TEST(OptionsTest, PathsMustDiffer) {
  Refuses({"--web.telemetry-path=/x", "--web.probe-path=/x"},
          "--web.probe-path: got \"/x\", expected a path that differs");
  Refuses({"--web.telemetry-path=/probe"},
          "--web.probe-path: got \"/probe\", expected a path that differs");
  EXPECT_EQ(Accepted({"--web.telemetry-path=/probe", "--web.probe-path=/metrics"}).probe_path,
            "/metrics");
}

TEST(OptionsTest, ConfigCheckExitsWithOne) {
  for (const std::vector<std::string>& line :
       std::vector<std::vector<std::string>>{{"--config.check", "--worker.count=0"},
                                             {"--worker.count=0", "--config.check"},
                                             {"--nonsense", "--config.check=true"}}) {
    const ExitRequest exit = Exited(line);
    EXPECT_EQ(exit.code, 1);
  }
  EXPECT_EQ(Exited({"--nonsense", "--config.check=false"}).code, 2);
}

TEST(OptionsTest, TakesAnIperf3TimeoutOfZeroAsUnset) {
  EXPECT_FALSE(Accepted({"--iperf3.timeout=0"}).probe_times.limit);
}

// A directory with a script, a plain file and a program, on PATH.
class ProgramTest : public testing::Test {
 protected:
  void SetUp() override {
    Write("script", "#!/bin/sh\n", 0755);
    Write("plain",
          "\x7f"
          "ELF",
          0644);
    Write("elf",
          "\x7f"
          "ELF",
          0755);
    old_path_ = ::getenv("PATH");
    ::setenv("PATH", ("relative:" + directory_.path().string() + ":/nonexistent").c_str(), 1);
  }
  void TearDown() override { ::setenv("PATH", old_path_.c_str(), 1); }
  void Write(const std::string& name, const std::string& content, mode_t mode) const {
    std::ofstream(directory_ / name) << content;
    ASSERT_EQ(::chmod((directory_ / name).c_str(), mode), 0);
  }

  const TemporaryDirectory directory_;
  std::string old_path_;
};

using OptionsProgramTest = ProgramTest;

TEST_F(OptionsProgramTest, FindsIperf3OnPath) {
  EXPECT_EQ(Accepted({"--iperf3.path=elf"}).iperf3_path, directory_ / "elf");
  Refuses({"--iperf3.path=script"},
          "--iperf3.path: got \"script\", expected the name of a program on PATH");
  Refuses({"--iperf3.path=plain"},
          "--iperf3.path: got \"plain\", expected the name of a program on PATH");
}

TEST_F(OptionsProgramTest, SaysWhyAProgramCannotBeExecuted) {
  EXPECT_THAT(Exited({"--iperf3.path=" + (directory_ / "script")}).text,
              EndsWith("expected an ELF program, not a script\n"));
  EXPECT_THAT(Exited({"--worker.path=" + (directory_ / "plain")}).text, EndsWith(" can execute\n"));
  EXPECT_THAT(Exited({"--worker.path=" + (directory_ / "none")}).text,
              EndsWith(" can read: No such file or directory\n"));
  EXPECT_EQ(Accepted({"--worker.path=" + (directory_ / "elf")}).worker_path, directory_ / "elf");
}

}  // namespace
}  // namespace iperf3_exporter
