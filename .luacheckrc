-- The code runs on five Luas: only what all of them share is a global here.
std = "min"
max_line_length = 120
unused_args = true
self = false
include_files = { "**/*.lua", "rockspec/*.rockspec", ".luacheckrc", ".busted" }
exclude_files = { "build" }
files["spec/**/*_spec.lua"] = { std = "min+busted" }
files["rockspec/*.rockspec"] = { std = "rockspec" }
files[".luacheckrc"] = { std = "luacheckrc" }
