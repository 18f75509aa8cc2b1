-- busted by the interpreter that runs this file: the installed `busted` command picks a Lua of its own.
require "busted.runner" { standalone = false }
