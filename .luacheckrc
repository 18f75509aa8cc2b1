-- The code runs on five Luas: only what all of them share is a global here.
std = "min"
-- Asked for by name where a Lua may lack it: table.unpack or unpack, loadstring or load.
read_globals = { "unpack", "loadstring", "setfenv", "getfenv", "newproxy", "jit",
  table = { fields = { "unpack", "pack", "move", "maxn" } }, debug = { fields = { "setuservalue", "getuservalue" } },
  math = { fields = { "type", "tointeger" } }, utf8 = { fields = { "char", "len", "codes", "codepoint" } } }
max_line_length = 120
unused_args = true
self = false
include_files = { "**/*.lua", "rockspec/*.rockspec", ".luacheckrc", ".busted" }
exclude_files = { "build" }
-- What runs inside nginx.
files["lua/mail/resty/*.lua"] = { std = "min+ngx_lua" }
files["lua/mail/io/openresty.lua"] = { std = "min+ngx_lua" }
files["lua/mail/io/cosocket*.lua"] = { std = "min+ngx_lua" }
files["examples/openresty/*.lua"] = { std = "min+ngx_lua" }
files["spec/support/remote.lua"] = { std = "min+ngx_lua" }
files["spec/**/*_spec.lua"] = { std = "min+busted" }
files["rockspec/*.rockspec"] = { std = "rockspec" }
files[".luacheckrc"] = { std = "luacheckrc" }
