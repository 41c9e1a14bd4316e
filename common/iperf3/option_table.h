// The parameters of /probe, one row each. They control how a request is parsed, which options the
// installed iperf3 must have, how a test is sent to a worker, and iperf3's command line. A test
// compares them with docs/REFERENCE.md. CONTRIBUTING.md describes how to add an option.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

#include "common/iperf3/test_options.h"

namespace iperf3_exporter {

// Inclusive.
struct Bounds {
  std::uint64_t min = 0;
  std::uint64_t max = 0;
};

// A boolean.
struct FlagOption {
  bool TestOptions::*member;
};

// A boolean that selects a mode other than the default.
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
  std::optional<Bounds> udp_bounds = std::nullopt;  // if they differ for UDP
};

// A bitrate with an optional burst.
struct BitrateOption {};

// A name known to the kernel, at most kMaxKernelNameBytes.
struct NameOption {
  std::string TestOptions::*member;
  std::string_view also;  // allowed besides letters and digits
  bool lower_case = false;
  std::string_view expected;  // "the name of …"
};

// A value that the supervisor parses itself: it resolves names, and workers get addresses.
struct RequestValue {};

using OptionKind = std::variant<RequestValue, FlagOption, ModeOption<Protocol>,
                                ModeOption<Direction>, NumberOption, BitrateOption, NameOption>;

// All texts are literals, so their `data()` is a C string.
struct TestOption {
  std::string_view name;
  std::string_view argument;   // iperf3's
  std::string_view help_word;  // the option in `iperf3 --help`; empty if every iperf3 has it
  OptionKind kind;
  std::optional<Protocol> only_with = {};  // refused with the other protocol
  std::string_view alias = {};             // a second name
};

inline constexpr std::size_t kMaxKernelNameBytes = 15;  // IFNAMSIZ and TCP_CA_NAME_MAX, minus NUL
inline constexpr std::uint32_t kMaxPeriodSeconds = 86400;     // MAX_TIME of iperf3
inline constexpr std::uint64_t kMaxOmitSeconds = 60;          // MAX_OMIT_TIME of iperf3 3.12
inline constexpr std::uint64_t kMaxParallel = 128;            // MAX_STREAMS of iperf3
inline constexpr std::uint64_t kMaxDscp = 63;                 // six bits (RFC 2474)
inline constexpr std::uint64_t kMaxWindowBytes = 512U << 20;  // MAX_TCP_BUFFER of iperf3
inline constexpr std::uint64_t kMaxByteCount = 1ULL << 50U;
inline constexpr std::uint64_t kFirstUnprivilegedPort = 1024;
// A petabit per second: above any link, and small enough that a product with the number of streams
// stays within 64 bits.
inline constexpr std::uint64_t kMaxBitsPerSecond64 = 1'000'000'000'000'000;
inline constexpr std::uint64_t kMaxBurstPackets = 1000;  // MAX_BURST of iperf3

inline constexpr std::array kTestOptions = {
    TestOption{"module", "", "", RequestValue{}},
    TestOption{"target", "", "", RequestValue{}},
    TestOption{"port", "", "", RequestValue{}},
    TestOption{"max_age", "", "", RequestValue{}},
    TestOption{"ip_version", "", "", RequestValue{}},
    TestOption{"reverse_mode", "-R", "",
               ModeOption<Direction>{&TestOptions::direction, Direction::kDownload}},
    TestOption{"udp_mode", "-u", "", ModeOption<Protocol>{&TestOptions::protocol, Protocol::kUdp}},
    TestOption{"bidirectional", "--bidir", "--bidir",
               ModeOption<Direction>{&TestOptions::direction, Direction::kBidirectional}},
    // BuildIperf3Argv adds -t.
    TestOption{
        "period", "", "",
        NumberOption{&TestOptions::period_seconds, NumberForm::kSeconds, {0, kMaxPeriodSeconds}}},
    TestOption{"bytes", "-n", "",
               NumberOption{&TestOptions::bytes, NumberForm::kBytes, {1, kMaxByteCount}}},
    TestOption{"parallel", "-P", "",
               NumberOption{&TestOptions::parallel, NumberForm::kInteger, {1, kMaxParallel}}},
    TestOption{
        "omit", "-O", "",
        NumberOption{&TestOptions::omit_seconds, NumberForm::kSeconds, {0, kMaxOmitSeconds}}},
    TestOption{"bitrate", "-b", "", BitrateOption{}},
    TestOption{"bind_address", "-B", "", RequestValue{}, {}, "bind"},
    TestOption{
        "bind_device", "--bind-dev", "--bind-dev",
        NameOption{&TestOptions::bind_device, ".-_@", false, "the name of a network interface"}},
    TestOption{"window", "-w", "",
               NumberOption{&TestOptions::window_bytes, NumberForm::kBytes, {1, kMaxWindowBytes}}},
    // From TCP_MIN_MSS of Linux to MAX_MSS of iperf3.
    TestOption{"mss", "-M", "",
               NumberOption{&TestOptions::mss_bytes, NumberForm::kInteger, {88, 9216}}},
    // To MAX_BLOCKSIZE of iperf3. UDP: from MIN_UDP_BLOCKSIZE to a datagram over IPv4.
    TestOption{
        "length", "-l", "",
        NumberOption{
            &TestOptions::length_bytes, NumberForm::kBytes, {1, 1U << 20}, Bounds{16, 65507}}},
    TestOption{"congestion", "-C", "--congestion",
               NameOption{&TestOptions::congestion, "_-", true,
                          "the name of a congestion control algorithm such as cubic"}},
    // The upper six bits of the type of service byte (RFC 2474), passed as -S. The help lists
    // --dscp.
    TestOption{"dscp", "-S", "--dscp",
               NumberOption{&TestOptions::dscp, NumberForm::kDscp, {0, kMaxDscp}}},
    TestOption{
        "cport", "--cport", "--cport",
        NumberOption{
            &TestOptions::client_port, NumberForm::kInteger, {kFirstUnprivilegedPort, UINT16_MAX}}},
    TestOption{"no_delay", "-N", "", FlagOption{&TestOptions::no_delay}},
    TestOption{"zerocopy", "-Z", "--zerocopy", FlagOption{&TestOptions::zerocopy}},
    TestOption{"mptcp", "--mptcp", "--mptcp", FlagOption{&TestOptions::mptcp}, Protocol::kTcp},
    TestOption{"dont_fragment", "--dont-fragment", "--dont-fragment",
               FlagOption{&TestOptions::dont_fragment}, Protocol::kUdp},
    TestOption{"gso", "--gsro", "--gsro", FlagOption{&TestOptions::gso}, Protocol::kUdp},
    TestOption{"skip_rx_copy", "--skip-rx-copy", "--skip-rx-copy",
               FlagOption{&TestOptions::skip_rx_copy}},
};

// The optional features of the installed iperf3, according to its help text.
struct Iperf3Capabilities {
  std::bitset<kTestOptions.size()> options;  // by row; only rows with a help word
  bool authentication = false;               // --username, --rsa-public-key-path
  bool pkcs1_padding = false;  // --use-pkcs1-padding; without it, there is no other padding
  // Used whenever they are available.
  bool connect_timeout = false;     // --connect-timeout
  bool udp_counters_64bit = false;  // --udp-counters-64bit

  bool operator==(const Iperf3Capabilities&) const = default;
};

// The row with that name or alias; nullptr if there is none.
[[nodiscard]] const TestOption* FindTestOption(std::string_view name);

// `option` is a row of kTestOptions.
[[nodiscard]] bool HasOption(const Iperf3Capabilities& capabilities, const TestOption& option);

// `text` is the output of `iperf3 --help`. Pure.
[[nodiscard]] Iperf3Capabilities ParseIperf3Help(std::string_view text);

// Whether the option has a value other than the default in `test`.
[[nodiscard]] bool IsSet(const TestOption& option, const TestOptions& test);

[[nodiscard]] std::optional<std::uint64_t> GetNumber(const NumberOption& option,
                                                     const TestOptions& test);
void SetNumber(const NumberOption& option, std::uint64_t value, TestOptions& test);

// The bounds given the options of `test` that precede this one in the table.
[[nodiscard]] Bounds BoundsOf(const NumberOption& option, const TestOptions& test);

[[nodiscard]] bool IsValidName(const NameOption& option, std::string_view name);

}  // namespace iperf3_exporter
