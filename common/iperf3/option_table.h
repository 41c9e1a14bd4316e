// The parameters of /probe, one row each. The rows are used to read a request, to check what the
// installed iperf3 can do, to carry a test to a worker and to build iperf3's command line. A test
// compares them with docs/REFERENCE.md. A new option of iperf3 is a member of TestOptions, a row
// here and its test.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

#include "common/iperf3/iperf3_units.h"
#include "common/iperf3/test_options.h"

namespace iperf3_exporter {

// Both are included.
struct Bounds {
  std::uint64_t min = 0;
  std::uint64_t max = 0;
};

// A boolean.
struct FlagOption {
  bool TestOptions::*member;
};

// A boolean that selects another mode than the default one.
template <typename Enum>
struct ModeOption {
  Enum TestOptions::*member;
  Enum value;
};

enum class NumberForm {
  kInteger,
  kBytes,    // `#[KMGT]`
  kSeconds,  // a duration, rounded up, or whole seconds; 0 means the default
  kDscp,     // a number or a class
};

struct NumberOption {
  std::variant<std::uint32_t TestOptions::*, std::optional<std::uint64_t> TestOptions::*> member;
  NumberForm form = NumberForm::kInteger;
  Bounds bounds;
  std::optional<Bounds> udp_bounds = std::nullopt;  // where UDP has others
};

// The bitrate, which is a rate and perhaps a burst.
struct BitrateOption {};

// A name that the kernel knows, at most kMaxKernelNameBytes.
struct NameOption {
  std::string TestOptions::*member;
  std::string_view also;  // beside letters and digits
  bool lower_case = false;
  std::string_view expected;  // "the name of …"
};

// A value that the supervisor reads and replaces: names are looked up, and a worker gets addresses.
struct RequestValue {};

using OptionKind = std::variant<RequestValue, FlagOption, ModeOption<Protocol>,
                                ModeOption<Direction>, NumberOption, BitrateOption, NameOption>;

// All texts are literals, so `data()` is a C string.
struct TestOption {
  std::string_view name;
  OptionKind kind;
  std::string_view argument = {};  // iperf3's
  // As `iperf3 --help` spells the option; empty if every iperf3 has it.
  std::string_view help_word = {};
  std::string_view alias = {};               // a second name
  std::optional<Protocol> only_with = {};    // refused with the other protocol
  std::string_view reference_default = {};   // for REFERENCE
  std::string_view reference_accepted = {};  // the same: what the kind does not say
};

// The longest name of an interface or a congestion control algorithm.
inline constexpr std::size_t kMaxKernelNameBytes = 15;        // IFNAMSIZ, TCP_CA_NAME_MAX less NUL
inline constexpr std::uint32_t kMaxPeriodSeconds = 86400;     // MAX_TIME of iperf3
inline constexpr std::uint64_t kMaxOmitSeconds = 60;          // MAX_OMIT_TIME of iperf3 3.12
inline constexpr std::uint64_t kMaxParallel = 128;            // MAX_STREAMS of iperf3
inline constexpr std::uint64_t kMaxWindowBytes = 512U << 20;  // MAX_TCP_BUFFER of iperf3
inline constexpr std::uint64_t kFirstUnprivilegedPort = 1024;

inline constexpr std::array kTestOptions = {
    TestOption{.name = "target",
               .kind = RequestValue{},
               .reference_default = "required",
               .reference_accepted = "host name, IPv4, IPv6 with or without brackets; `host:port` "
                                     "if `port` is not given"},
    TestOption{.name = "port",
               .kind = RequestValue{},
               .reference_default = "5201",
               .reference_accepted = "1 to 65535; 0 means the default"},
    TestOption{.name = "ip_version",
               .kind = RequestValue{},
               .reference_accepted = "4 or 6: only addresses of that version"},
    TestOption{.name = "reverse_mode",
               .kind = ModeOption<Direction>{&TestOptions::direction, Direction::kDownload},
               .argument = "-R",
               .reference_default = "false",
               .reference_accepted = "the server sends"},
    TestOption{.name = "udp_mode",
               .kind = ModeOption<Protocol>{&TestOptions::protocol, Protocol::kUdp},
               .argument = "-u",
               .reference_default = "false"},
    TestOption{.name = "bidirectional",
               .kind = ModeOption<Direction>{&TestOptions::direction, Direction::kBidirectional},
               .argument = "--bidir",
               .help_word = "--bidir",
               .reference_default = "false",
               .reference_accepted = "both directions at once; not with `reverse_mode`"},
    // -t and the cut to what fits: BuildIperf3Argv.
    TestOption{.name = "period",
               .kind =
                   NumberOption{
                       &TestOptions::period_seconds, NumberForm::kSeconds, {0, kMaxPeriodSeconds}},
               .reference_default = "`5s`",
               .reference_accepted = "0 means the default; at most `--probe.max-period`"},
    TestOption{.name = "bytes",
               .kind = NumberOption{&TestOptions::bytes, NumberForm::kBytes, {1, kMaxByteCount}},
               .argument = "-n",
               .reference_accepted = "ends after that much instead of after `period`, which is "
                                     "then the limit"},
    TestOption{
        .name = "parallel",
        .kind = NumberOption{&TestOptions::parallel, NumberForm::kInteger, {1, kMaxParallel}},
        .argument = "-P",
        .reference_default = "1",
        .reference_accepted = "streams; at most `--probe.max-parallel`"},
    TestOption{
        .name = "omit",
        .kind =
            NumberOption{&TestOptions::omit_seconds, NumberForm::kSeconds, {0, kMaxOmitSeconds}},
        .argument = "-O",
        .reference_accepted = "seconds before `period` that do not count"},
    TestOption{.name = "bitrate",
               .kind = BitrateOption{},
               .argument = "-b",
               .reference_default = "iperf3's own (1M for UDP)",
               .reference_accepted = "for each stream"},
    TestOption{.name = "bind_address",
               .kind = RequestValue{},
               .argument = "-B",
               .alias = "bind",
               .reference_accepted = "source address or host name; `address%device` also sets "
                                     "`bind_device`"},
    TestOption{.name = "bind_device",
               .kind = NameOption{.member = &TestOptions::bind_device,
                                  .also = ".-_@",
                                  .expected = "the name of a network interface"},
               .argument = "--bind-dev",
               .help_word = "--bind-dev"},
    TestOption{
        .name = "window",
        .kind = NumberOption{&TestOptions::window_bytes, NumberForm::kBytes, {1, kMaxWindowBytes}},
        .argument = "-w",
        .reference_accepted = "socket buffers"},
    // From TCP_MIN_MSS of Linux to MAX_MSS of iperf3.
    TestOption{.name = "mss",
               .kind = NumberOption{&TestOptions::mss_bytes, NumberForm::kInteger, {88, 9216}},
               .argument = "-M",
               .reference_accepted = "bytes in a TCP segment"},
    // To MAX_BLOCKSIZE of iperf3. UDP: from MIN_UDP_BLOCKSIZE to a datagram over IPv4.
    TestOption{
        .name = "length",
        .kind =
            NumberOption{
                &TestOptions::length_bytes, NumberForm::kBytes, {1, 1U << 20}, Bounds{16, 65507}},
        .argument = "-l",
        .reference_accepted = "of a write or a datagram"},
    TestOption{.name = "congestion",
               .kind = NameOption{.member = &TestOptions::congestion,
                                  .also = "_-",
                                  .lower_case = true,
                                  .expected = "the name of a congestion control algorithm such as "
                                              "cubic"},
               .argument = "-C",
               .help_word = "--congestion"},
    // The type of service byte, whose upper six bits it is (RFC 2474). Every iperf3 has -S.
    TestOption{.name = "dscp",
               .kind = NumberOption{&TestOptions::dscp, NumberForm::kDscp, {0, 63}},
               .argument = "-S",
               .help_word = "--dscp"},
    TestOption{.name = "cport",
               .kind = NumberOption{&TestOptions::client_port,
                                    NumberForm::kInteger,
                                    {kFirstUnprivilegedPort, UINT16_MAX}},
               .argument = "--cport",
               .help_word = "--cport",
               .reference_accepted = "source port of the first stream; each further one has the "
                                     "next"},
    TestOption{.name = "no_delay",
               .kind = FlagOption{&TestOptions::no_delay},
               .argument = "-N",
               .reference_default = "false",
               .reference_accepted = "TCP without Nagle's algorithm"},
    TestOption{.name = "zerocopy",
               .kind = FlagOption{&TestOptions::zerocopy},
               .argument = "-Z",
               .help_word = "--zerocopy",
               .reference_default = "false",
               .reference_accepted = "sends with `sendfile`"},
    TestOption{.name = "mptcp",
               .kind = FlagOption{&TestOptions::mptcp},
               .argument = "--mptcp",
               .help_word = "--mptcp",
               .only_with = Protocol::kTcp,
               .reference_default = "false",
               .reference_accepted = "Multipath TCP; iperf3 3.19 or newer"},
    TestOption{.name = "dont_fragment",
               .kind = FlagOption{&TestOptions::dont_fragment},
               .argument = "--dont-fragment",
               .help_word = "--dont-fragment",
               .only_with = Protocol::kUdp,
               .reference_default = "false",
               .reference_accepted = "UDP over IPv4; iperf3 3.10 or newer"},
    TestOption{.name = "gso",
               .kind = FlagOption{&TestOptions::gso},
               .argument = "--gsro",
               .help_word = "--gsro",
               .only_with = Protocol::kUdp,
               .reference_default = "false",
               .reference_accepted = "UDP segmentation and receive offload; iperf3 3.21 or newer"},
    TestOption{.name = "skip_rx_copy",
               .kind = FlagOption{&TestOptions::skip_rx_copy},
               .argument = "--skip-rx-copy",
               .help_word = "--skip-rx-copy",
               .reference_default = "false",
               .reference_accepted = "the receiver drops the data in the kernel; iperf3 3.19.1 or "
                                     "newer"},
};

// What the installed iperf3 has, by its help text.
struct Iperf3Capabilities {
  std::bitset<kTestOptions.size()> options;  // by row; only those with a help word
  // Used without being asked for.
  bool connect_timeout = false;     // --connect-timeout
  bool udp_counters_64bit = false;  // --udp-counters-64bit

  bool operator==(const Iperf3Capabilities&) const = default;
};

// `option` is a row of kTestOptions.
[[nodiscard]] bool HasOption(const Iperf3Capabilities& capabilities, const TestOption& option);

// By the options that `iperf3 --help` names. Pure.
[[nodiscard]] Iperf3Capabilities ParseIperf3Help(std::string_view text);

// Whether `test` differs from the default in that option.
[[nodiscard]] bool IsSet(const TestOption& option, const TestOptions& test);

[[nodiscard]] std::optional<std::uint64_t> GetNumber(const NumberOption& option,
                                                     const TestOptions& test);
void SetNumber(const NumberOption& option, std::uint64_t value, TestOptions& test);

// The bounds beside the options that stand before this one in the table.
[[nodiscard]] Bounds BoundsOf(const NumberOption& option, const TestOptions& test);

[[nodiscard]] bool IsValidName(const NameOption& option, std::string_view name);

}  // namespace iperf3_exporter
