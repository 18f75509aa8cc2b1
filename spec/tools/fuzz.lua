-- fuzz.lua SECONDS   builds every spec/fuzz/*_fuzz.c with clang's libFuzzer, ASan and UBSan, and runs each that
-- long over its corpus (spec/fuzz/NAME/, read only; what is found new goes under build/fuzz). A crash leaves its
-- input in build/fuzz/crashes and fails the run. Where clang has no libFuzzer the run is skipped and says so.

package.path = "./?.lua;" .. package.path
local shell = require "spec.tools.shell".capture

local seconds = tonumber(arg[1]) or 10
local flags = "-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined"
shell "mkdir -p build/fuzz/crashes"
local possible = shell("echo 'int LLVMFuzzerTestOneInput(const char *p, unsigned long n) { return p && n ? 0 : 0; }'"
  .. " | clang -x c - -fsanitize=fuzzer,address -o build/fuzz/probe")
if not possible then
  print "fuzz: clang with libFuzzer is not on this machine"
  print "0 passed, 0 failed, 1 skipped"
  os.exit(0)
end

local ok, out = shell("env -u MAKEFLAGS -u MAKELEVEL make -s -j2 BUILD=build/fuzz CC=clang CFLAGS='-O1 -g' SANITIZE='"
  .. flags .. "' fuzzers")
if not ok then
  print(out)
  os.exit(1)
end

local passed, failed = 0, 0
local _, programs = shell "ls build/fuzz/spec/fuzz/*_fuzz 2>/dev/null"
for program in programs:gmatch "%S+_fuzz" do
  local name = program:match "([^/]+)_fuzz$"
  shell("mkdir -p build/fuzz/corpus/" .. name .. " spec/fuzz/" .. name)
  ok, out = shell(string.format("%s -max_total_time=%d -timeout=5 -rss_limit_mb=2048 -print_final_stats=1 "
    .. "-artifact_prefix=build/fuzz/crashes/%s- build/fuzz/corpus/%s spec/fuzz/%s", program, seconds, name, name, name))
  shell("rmdir spec/fuzz/" .. name) -- only where there was no corpus
  passed, failed = passed + (ok and 1 or 0), failed + (ok and 0 or 1)
  local inputs = out:match "executed_units:%s*(%d+)" or "?"
  print(string.format("%s  %s: %s inputs", ok and "ok    " or "FAILED", name, inputs))
  if not ok then print(out) end
end
print(string.format("%d passed, %d failed, 0 skipped", passed, failed))
os.exit(failed == 0 and 0 or 1)
