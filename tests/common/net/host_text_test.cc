#include "common/net/host_text.h"

#include <gtest/gtest.h>

#include "common/wire/job.h"

namespace iperf3_exporter {
namespace {

TEST(HostTextTest, TellsNamesFromAddresses) {
  struct Case {
    const char* spelled;
    const char* text;
    HostForm form;
  };
  for (const Case& expected :
       {Case{"host_1.example", "host_1.example", HostForm::kName},
        Case{"1.2.3", "1.2.3", HostForm::kName}, Case{"192.0.2.1", "192.0.2.1", HostForm::kV4},
        Case{"2001:db8::1", "2001:db8::1", HostForm::kV6},
        Case{"[2001:db8::1]", "2001:db8::1", HostForm::kV6},
        Case{"fe80::1%nosuch", "fe80::1%nosuch", HostForm::kV6}}) {
    const auto host = ParseHostText(expected.spelled);
    ASSERT_TRUE(host) << expected.spelled;
    EXPECT_EQ(host->text, expected.text);
    EXPECT_EQ(host->form, expected.form) << expected.spelled;
  }
}

TEST(HostTextTest, RefusesWhatIsNeither) {
  for (const char* text : {"", "-c", "a b", "a/b", "[192.0.2.1]", "[host]", "[]", "[::1", "::1]",
                           "1:2:3", "fe80::1%", "fe80::1%e th", "host%eth0"}) {
    EXPECT_FALSE(ParseHostText(text)) << text;
  }
  EXPECT_TRUE(ParseHostText(std::string(kMaxTargetBytes, 'a')));
  EXPECT_FALSE(ParseHostText(std::string(kMaxTargetBytes + 1, 'a')));
}

}  // namespace
}  // namespace iperf3_exporter
