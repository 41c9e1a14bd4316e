#include "common/text.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace iperf3_exporter {
namespace {

TEST(TextTest, ClassifiesAsciiCharacters) {
  EXPECT_TRUE(IsDigit('0') && IsDigit('9'));
  EXPECT_FALSE(IsDigit('/') || IsDigit(':') || IsDigit('\xb2'));
  EXPECT_TRUE(IsAlnum('a') && IsAlnum('Z') && IsAlnum('5'));
  EXPECT_FALSE(IsAlnum('@') || IsAlnum('[') || IsAlnum('`') || IsAlnum('{') || IsAlnum('\xe4'));
  EXPECT_TRUE(IsPrintable(' ') && IsPrintable('~'));
  EXPECT_FALSE(IsPrintable('\x1f') || IsPrintable('\x7f') || IsPrintable('\x80'));
  EXPECT_TRUE(IsControl('\0') && IsControl('\n') && IsControl('\x7f'));
  EXPECT_FALSE(IsControl(' ') || IsControl('\x80') || IsControl('\xff'));
}

TEST(TextTest, IgnoresCaseInAsciiOnly) {
  EXPECT_EQ(ToLower("Content-LENGTH@[\xc4"), "content-length@[\xc4");
  EXPECT_TRUE(EqualsIgnoringCase("Text/Plain", "tEXT/pLAIN"));
  EXPECT_FALSE(EqualsIgnoringCase("text", "text/"));
  EXPECT_FALSE(EqualsIgnoringCase("@", "`"));
  EXPECT_FALSE(EqualsIgnoringCase("\xc4", "\xe4"));
}

TEST(TextTest, ToPrintableReplacesOtherCharacters) {
  EXPECT_EQ(ToPrintable("a b~\n\x7f\xe4"), "a b~???");
}

TEST(TextTest, HasOnlyAlnumOrTheNamedCharacters) {
  EXPECT_TRUE(HasOnlyAlnumOr("a.b-C_9", "._-"));
  EXPECT_TRUE(HasOnlyAlnumOr("", ""));
  EXPECT_FALSE(HasOnlyAlnumOr("a/b", "._-"));
  EXPECT_FALSE(HasOnlyAlnumOr(std::string_view("a\0b", 3), "._-"));
  EXPECT_FALSE(HasOnlyAlnumOr("\xff", "._-"));
}

TEST(TextTest, TrimRemovesSpacesAndTabs) {
  EXPECT_EQ(Trim(" \ta b\t "), "a b");
  EXPECT_EQ(Trim(" \t "), "");
  EXPECT_EQ(Trim(""), "");
  EXPECT_EQ(Trim("\na"), "\na");
}

TEST(TextTest, TakeUntilIteratesOverAList) {
  std::string_view rest = "gzip ; q=1,  br";
  EXPECT_EQ(TakeUntil(',', rest), "gzip ; q=1");
  EXPECT_EQ(rest, "  br");
  EXPECT_EQ(TakeUntil(',', rest), "br");
  EXPECT_EQ(rest, "");
  EXPECT_EQ(TakeUntil(',', rest), "");
}

TEST(TextTest, ParseIntegerAcceptsDigitsWithinBounds) {
  EXPECT_EQ(ParseUnsigned("0"), 0u);
  EXPECT_EQ(ParseUnsigned("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(ParseUnsigned("5", 5, 7), 5u);
  EXPECT_EQ(ParseUnsigned("7", 5, 7), 7u);
  for (const char* text : {"", "-1", "+1", " 1", "1 ", "0x1", "1.0", "18446744073709551616", "x"}) {
    EXPECT_FALSE(ParseUnsigned(text)) << text;
  }
  EXPECT_FALSE(ParseUnsigned("4", 5, 7));
  EXPECT_FALSE(ParseUnsigned("8", 5, 7));
}

TEST(TextTest, PercentDecodeAcceptsBothCases) {
  EXPECT_EQ(PercentDecode("a%2Fb%2fc+%00"), std::string("a/b/c+\0", 7));
  EXPECT_EQ(PercentDecode("%ff"), "\xff");
  EXPECT_EQ(PercentDecode(""), "");
  for (const char* text : {"%", "%2", "a%2", "%zz", "%2g", "%g2", "%%20", "% 2"}) {
    EXPECT_FALSE(PercentDecode(text)) << text;
  }
}

TEST(TextTest, JoinSeparatesTheElements) {
  EXPECT_EQ(Join(std::vector<std::string>{"a", "", "c"}, ", "), "a, , c");
  EXPECT_EQ(Join(std::vector<std::string>{}, ","), "");
  EXPECT_EQ(Join(std::array<std::string_view, 1>{"a"}, ","), "a");
}

}  // namespace
}  // namespace iperf3_exporter
