-- layers.lua [OBJECTS]    proves the layer rules over the #include lines and, given a folder of objects, over
--                         what they call and keep; --selftest proves that each rule can fail
-- The rules: a C file includes its own folder, base, and folders of a lower layer; tls, os, zlib and gss include only
-- base and only bind includes them; grammar never sees a session; the pure folders include nothing of the system,
-- call nothing of it and keep no mutable data; C never calls into Lua; only lua/mail/io names an event loop; letters
-- and classes of characters are those of ASCII, never those of the host's locale.

local LAYER = { base = 0, mime = 1, sasl = 1, tls = 1, os = 1, zlib = 1, gss = 1, sign = 2,
  imap = 2, smtp = 2, pop3 = 2, bind = 3 }
local APART = { tls = true, os = true, zlib = true, gss = true } -- they know only base, and only bind knows them
local EFFECT = { tls = true, os = true, gss = true, bind = true } -- all others are pure: bytes in, bytes out

-- What a pure folder may include of the system; anything else has to be argued into this list.
local PURE_HEADERS = {}
for name in ([[zlib assert errno float iconv idn2 inttypes limits stdarg stdbool stddef stdint stdlib string
  unictype uninorm unistr emmintrin immintrin tmmintrin smmintrin arm_neon]]):gmatch "%S+" do
  PURE_HEADERS[name .. ".h"] = true
end
-- Who owns a library's header.
local OWNER = { { "^openssl/", "tls" }, { "^gssapi", "gss" }, { "^krb5", "gss" }, { "^zlib%.h", "zlib" },
  { "^ares", "os" }, { "^lua", "bind" },
  { "^lauxlib%.h", "bind" }, { "^sys/", "os" }, { "^netinet/", "os" }, { "^poll%.h", "os" } }
local INTO_LUA = { "lua_callk?", "lua_pcallk?", "lua_yieldk?", "lua_resume", "lua_cpcall", "luaL_do%a+" }
local LOOPS = { luv = 1, uv = 1, cqueues = 1, copas = 1, socket = 1, lgi = 1, ev = 1, turbo = 1, ["resty"] = 1 }
-- What a pure object may leave to the C library: memory, strings, conversion, and the checks of the compiler.
local PURE_SYMBOLS = { "^lm_", "^mem%a+$", "^__mem%a+_chk$", "^str%a+$", "^malloc$", "^calloc$", "^realloc$",
  "^free$", "^iconv", "^idn2_", "^deflate", "^inflate", "^u8_", "^u32_", "^uc_", "^uninorm_",
  "^__assert_fail$", "^__cpu_", "^abort$", "^qsort$", "^bsearch$", "^__errno_location$",
  "^__stack_chk_fail$", "^_GLOBAL_OFFSET_TABLE_$", "^__isoc%d+_strto", "^explicit_bzero$", "^__explicit_bzero_chk$" }

local breaches
local function breach(where, ...) breaches[#breaches + 1] = where .. ": " .. string.format(...) end

local function shell(command)
  local pipe = assert(io.popen(command, "r"))
  local list = {}
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

local function slurp(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

local function matches(text, patterns)
  for _, pattern in ipairs(patterns) do
    if text:find(pattern) then return true end
  end
  return false
end

local function blank(text) return (text:gsub("[^\n]", " ")) end

-- Comments and strings become blanks so that words in them are no breach; lines keep their numbers.
local function code_only(text)
  return (text:gsub("/%*.-%*/", blank):gsub("//[^\n]*", blank):gsub('"[^"\n]*"', blank))
end

-- session.h is what the parts of one session share, beside the grammar of their folder.
local function is_session(path)
  local name = path:match "([^/]+)%.[ch]$"
  return name:find "^client" or name:find "^server" or name:find "^session" or name:find "^ext"
end

local function check_project_include(where, folder, path, target)
  local other = target:match "^([^/]+)/" or folder
  if not LAYER[other] then return breach(where, 'includes "%s", which is in no layer', target) end
  if other == folder then
    local name = target:match "([^/]+)%.h$"
    local session = name == "client" or name == "server"
    if folder ~= "bind" and session and not is_session(path) then
      breach(where, "grammar includes the session %s", target)
    end
  elseif other == "base" then
    return
  elseif APART[folder] then
    breach(where, "%s includes only base, not %s", folder, target)
  elseif LAYER[other] >= LAYER[folder] then
    breach(where, "layer %d (%s) includes layer %d (%s)", LAYER[folder], folder, LAYER[other], target)
  elseif APART[other] and folder ~= "bind" then
    breach(where, "only bind includes %s", target)
  end
end

local function check_system_include(where, folder, target)
  for _, rule in ipairs(OWNER) do
    if target:find(rule[1]) and rule[2] ~= folder and not (rule[2] == "os" and folder == "bind") then
      return breach(where, "<%s> belongs to %s", target, rule[2])
    end
  end
  if not EFFECT[folder] and not PURE_HEADERS[target] then
    breach(where, "<%s> is not among the headers of a pure folder", target)
  end
end

local function check_c(root, path)
  local folder = path:match "^([^/]+)/"
  if not LAYER[folder] then return breach("csrc/" .. path, "is in no layer") end
  local text = slurp(root .. "/csrc/" .. path)
  local number = 0
  for line in (text .. "\n"):gmatch "(.-)\n" do
    number = number + 1
    local where = string.format("csrc/%s:%d", path, number)
    local quoted, system = line:match '^%s*#%s*include%s*"([^"]+)"', line:match "^%s*#%s*include%s*<([^>]+)>"
    if quoted then check_project_include(where, folder, path, quoted) end
    if system then check_system_include(where, folder, system) end
  end
  local code = code_only(text)
  for _, name in ipairs(INTO_LUA) do
    local at = code:match("%f[%w_]()" .. name .. "%s*%(")
    if at then breach("csrc/" .. path, "C never calls into Lua: %s", code:match("^[%w_]+", at)) end
  end
end

-- What follows the host's locale: string.lower and string.upper, and the classes of patterns that letters, controls
-- and punctuation belong to. In locales of single octets even parts of UTF-8 are in them.
local function check_locale(path, text)
  if path == "mail/ascii.lua" then return end
  local code = text:gsub("%f[%w_]ascii%.%l+", ""):gsub("%f[%w_]letters%.%l+", "")
  local name = code:match "[^.][:.](lower)%f[^%w_]" or code:match "[^.][:.](upper)%f[^%w_]"
  if name then breach("lua/" .. path, "%s follows the host's locale: mail.ascii has one that does not", name) end
  local class = text:gsub("%%%%", "  "):match "%%[aclpuwACLPUW]"
  if class then breach("lua/" .. path, "%s follows the host's locale: write out the set", class) end
end

local function check_lua(root, path)
  local text = slurp(root .. "/lua/" .. path):gsub("%-%-%[(=*)%[.-%]%1%]", blank):gsub("%-%-[^\n]*", blank)
  check_locale(path, text)
  if path:find "^mail/io/" or path:find "^mail/resty/" then return end -- what is for one loop alone
  for name in text:gmatch "require%s*%(?%s*[\"']([%w_]+)" do
    if LOOPS[name] then breach("lua/" .. path, "only lua/mail/io names an event loop: %s", name) end
  end
  if text:find "%f[%w_]ngx%f[^%w_]%s*%." then breach("lua/" .. path, "only lua/mail/io names an event loop: ngx") end
end

-- Rows of objdump -t: address, flags, section, size, name. .data.rel.ro is constant once it is relocated.
local function check_object(path)
  for _, row in ipairs(shell("objdump -t " .. path)) do
    local flags, section, size, name = row:match "^%x+ (.......) (%S+)%s+(%x+) (%S+)$"
    if section == "*UND*" and not matches(name, PURE_SYMBOLS) then
      -- the sanitizers and coverage leave marks of their own; they are no part of a strict build
      breach(path, "a pure folder calls %s", name)
    elseif flags and flags:find "O" and (section:find "^%.t?bss" or section:find "^%.t?data$"
        or section:find "^%.data%.[^r]" or section == "*COM*") and tonumber(size, 16) > 0 then
      breach(path, "mutable static data in a pure folder: %s", name)
    end
  end
end

local function check(root, objects)
  breaches = {}
  for _, path in ipairs(shell("cd " .. root .. "/csrc 2>/dev/null && find . -name '*.[ch]' | sort")) do
    check_c(root, (path:gsub("^%./", "")))
  end
  for _, path in ipairs(shell("cd " .. root .. "/lua 2>/dev/null && find . -name '*.lua' | sort")) do
    check_lua(root, (path:gsub("^%./", "")))
  end
  for _, path in ipairs(objects and shell("find " .. objects .. " -name '*.o' | sort") or {}) do
    if not EFFECT[path:match "csrc/([^/]+)/"] then check_object(path) end
  end
  return breaches
end

-- One file for each rule that breaks only that rule, and files beside them that break none.
local BAD = {
  ["csrc/base/a.c"] = { '#include "mime/b.h"\n', "layer 0" },
  ["csrc/mime/a.c"] = { '#include "sasl/b.h"\n', "layer 1 %(mime%) includes layer 1" },
  ["csrc/imap/a.c"] = { '#include "smtp/b.h"\n', "layer 2 %(imap%) includes layer 2" },
  ["csrc/imap/b.c"] = { '#include "tls/tls.h"\n', "only bind includes" },
  ["csrc/imap/c.c"] = { '#include "imap/client.h"\n', "grammar includes the session" },
  ["csrc/smtp/d.h"] = { '#include "server.h"\n', "grammar includes the session" },
  ["csrc/imap/d.c"] = { "#include <zlib.h>\n", "belongs to zlib" },
  ["csrc/smtp/e.c"] = { '#include "zlib/deflate.h"\n', "only bind includes" },
  ["csrc/zlib/a.c"] = { '#include "mime/b.h"\n', "zlib includes only base" },
  ["csrc/tls/a.c"] = { '#include "mime/b.h"\n', "tls includes only base" },
  ["csrc/tls/c.c"] = { "#include <gssapi/gssapi.h>\n", "belongs to gss" },
  ["csrc/gss/a.c"] = { '#include "sasl/b.h"\n', "gss includes only base" },
  ["csrc/imap/f.c"] = { '#include "gss/gss.h"\n', "only bind includes" },
  ["csrc/os/a.c"] = { "#include <openssl/ssl.h>\n", "belongs to tls" },
  ["csrc/sasl/a.c"] = { "#include <time.h>\n", "pure folder" },
  ["csrc/pop3/a.c"] = { "  #  include <sys/socket.h>\n", "belongs to os" },
  ["csrc/tls/b.c"] = { "#include <lua.h>\n", "belongs to bind" },
  ["csrc/stray/a.c"] = { "\n", "in no layer" },
  ["csrc/bind/a.c"] = { "int f(void *L) { return lua_pcallk (L, 0); }\n", "C never calls into Lua: lua_pcallk" },
  ["csrc/base/s.c"] = { "static int n;\nint lm_n(void);\nint lm_n(void) { return ++n; }\n", "mutable static data" },
  ["csrc/base/t.c"] = { "long time(long *);\nlong lm_t(void);\nlong lm_t(void) { return time(0); }\n", "calls time" },
  ["lua/mail/pump.lua"] = { 'local uv = require("luv")\n', "names an event loop: luv" },
  ["lua/mail/loop.lua"] = { "return ngx.sleep\n", "names an event loop: ngx" },
  ["lua/mail/imap/a.lua"] = { "local function f(s) return s:lower() end\n", "lower follows the host's locale" },
  ["lua/mail/imap/b.lua"] = { "return string.upper\n", "upper follows the host's locale" },
  ["lua/mail/imap/c.lua"] = { 'return function(s) return s:find "^[%w-]+$" end\n', "%%w follows the host's locale" },
  ["lua/mail/io/a.lua"] = { 'return function(s) return s:gsub("%c", "") end\n', "%%c follows the host's locale" },
}
local GOOD = {
  ["csrc/imap/client.c"] = '#include "imap/client.h"\n#include "mime/b.h"\n#include <string.h>\n/* lua_call( */\n',
  ["csrc/pop3/session.h"] = '#include "pop3/client.h"\n',
  ["csrc/bind/b.c"] = '#include "tls/tls.h"\n#include "imap/client.h"\n#include <lua.h>\n#include <stdio.h>\n',
  ["csrc/os/b.c"] = '#include "base/lm.h"\n#include <sys/socket.h>\nstatic int n;\nint lm_o(void) { return ++n; }\n',
  ["csrc/base/u.c"] = 'static const char *const t[] = {"a"};\nconst char *lm_u(int i);\n'
    .. "const char *lm_u(int i) { return t[i]; }\n",
  ["lua/mail/io/luv.lua"] = 'return require "luv"\n',
  ["lua/mail/ascii.lua"] = "return { lower = string.lower }\n",
  ["lua/mail/imap/d.lua"] = 'local ascii = require "mail.ascii"\nreturn ascii.lower("%%w%s"), ascii.upper "x" -- %w\n',
  ["lua/mail/init.lua"] = 'return { luv = "mail.io.luv" } -- require "luv"\n',
}

local function write_tree(root)
  local function write(path, text)
    os.execute("mkdir -p " .. root .. "/" .. path:match "^(.*)/")
    local file = assert(io.open(root .. "/" .. path, "w"))
    file:write(text)
    file:close()
  end
  for path, bad in pairs(BAD) do write(path, bad[1]) end
  for path, text in pairs(GOOD) do write(path, text) end
  for _, name in ipairs { "base/s", "base/t", "base/u", "os/b" } do
    os.execute(string.format("sed '/^#/d' %s/csrc/%s.c > %s/one.c && mkdir -p %s/obj/csrc/%s && "
      .. "${CC:-cc} -w -O2 -fPIC -c %s/one.c -o %s/obj/csrc/%s.o",
      root, name, root, root, name:match "^%a+", root, root, name))
  end
end

local function selftest()
  local root = shell("mktemp -d")[1]
  write_tree(root)
  local found, wrong = check(root, root .. "/obj"), 0
  os.execute("rm -rf " .. root)
  local function seen(path, pattern)
    for _, line in ipairs(found) do
      if line:find(path, 1, true) and line:find(pattern) then return true end
    end
  end
  for path, bad in pairs(BAD) do
    if not seen(path:gsub("%.c$", "."), bad[2]) then wrong = wrong + 1 print("not found: " .. path) end
  end
  for path in pairs(GOOD) do
    if seen(path:gsub("%.c$", "."), "") then wrong = wrong + 1 print("found in good code: " .. path) end
  end
  return wrong
end

local failures
if arg[1] == "--selftest" then
  failures = selftest()
else
  for _, line in ipairs(check(".", arg[1])) do print(line) end
  failures = #breaches
end
os.exit(failures == 0 and 0 or 1)
