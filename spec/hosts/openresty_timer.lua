-- The checks of io_conformance.lua in a timer of nginx with its Lua module; the request waits for it.
require "spec.support.nginx_runner" [[
  local done = require "mail.io.openresty".event()
  assert(ngx.timer.at(0, function()
    checks()
    done:set()
  end))
  done:wait(220)
]]
