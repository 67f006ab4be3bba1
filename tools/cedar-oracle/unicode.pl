#!/usr/bin/env perl
# Writes src/cedar/validate_unicode_data.cc from the Unicode tables that perl carries: the script extensions of each
# character, augmented as UTS 39 section 5.1 says, and which characters identifiers may have (its section 3.1).
use strict;
use warnings;
use Unicode::UCD qw(prop_invmap prop_invlist);

my ($starts, $values) = prop_invmap("Script_Extensions");
my %id = ();
my @names = ();
sub script_id { my ($n) = @_; $id{$n} //= do { push @names, $n; scalar(@names) }; return $id{$n}; }
my %augment = (Han => [qw(Hanb Jpan Kore)], Hiragana => ["Jpan"], Katakana => ["Jpan"], Hangul => ["Kore"],
               Bopomofo => ["Hanb"]);
my (%set, @sets, @ranges);
for my $i (0 .. $#$starts) {
  my $v = $values->[$i];
  my @scripts = ref $v ? @$v : split(/ /, $v);
  my %all = map { $_ => 1 } @scripts;
  for my $s (@scripts) { $all{$_} = 1 for @{$augment{$s} // []}; }
  my $key = exists $all{Common} || exists $all{Inherited} ? "" : join(" ", sort { $a <=> $b } map { script_id($_) } sort keys %all);
  $set{$key} //= do { push @sets, $key; $#sets };
  push @ranges, [$starts->[$i], $set{$key}] unless @ranges && $ranges[-1][1] == $set{$key};
}
my @allowed = prop_invlist("Identifier_Status=Allowed");

sub rows {
  my ($indent, @items) = @_;
  my ($out, $line) = ("", $indent);
  for my $item (@items) {
    if (length($line) + length($item) + 2 > 119) { $line =~ s/ +$//; $out .= "$line\n"; $line = $indent; }
    $line .= "$item, ";
  }
  $line =~ s/ +$//;
  return "$out$line\n";
}
my $version = Unicode::UCD::UnicodeVersion();
print "// Unicode $version, written by tools/cedar-oracle/unicode.pl from the tables of UAX 24 and UTS 39.\n";
print "#include \"cedar/validate_unicode.h\"\n\nnamespace daypass::cedar::unicode {\nnamespace {\n\n// clang-format off\n";
print "constexpr std::string_view sets[] = {\n";
print rows("  ", map { '"' . join("", map { sprintf("\\%03o", $_) } split(/ /)) . '"' } @sets);
print "};\n\nconstexpr ScriptRange script_ranges[] = {\n";
print rows("  ", map { sprintf("{0x%x,%d}", @$_) } @ranges);
print "};\n\n// Where being allowed begins and ends, by turns.\nconstexpr std::uint32_t allowed_ranges[] = {\n";
print rows("  ", map { sprintf("0x%x", $_) } @allowed);
print "};\n// clang-format on\n\n}  // namespace\n\n";
print "std::span<const ScriptRange> scripts() noexcept {\n  return script_ranges;\n}\n";
print "std::string_view script_set(std::uint16_t index) noexcept {\n  return sets[index];\n}\n";
print "std::span<const std::uint32_t> allowed() noexcept {\n  return allowed_ranges;\n}\n\n}  // namespace daypass::cedar::unicode\n";
