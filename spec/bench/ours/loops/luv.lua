-- libuv; raw: a uv_tcp handle that is read until something has come, as luv's own examples do it in a coroutine.
local uv = require "luv"

local host = { adapter = "luv" }

function host.run(fn)
  local failure
  coroutine.wrap(function()
    local ok, err = xpcall(fn, debug.traceback)
    if not ok then failure = err end
  end)()
  uv.run()
  if failure then error(failure, 0) end
end

local Socket = {}
Socket.__index = Socket

function Socket:read()
  local co, got, why = coroutine.running(), nil, nil
  self.tcp:read_start(function(err, bytes)
    self.tcp:read_stop()
    got, why = bytes, err or "closed"
    coroutine.resume(co)
  end)
  coroutine.yield()
  return got, why
end

function Socket:write(bytes)
  local co, err = coroutine.running(), nil
  self.tcp:write(bytes, function(e)
    err = e
    coroutine.resume(co)
  end)
  coroutine.yield()
  if err then return nil, err end
  return true
end

function Socket:close() self.tcp:close() end

function host.dial(port)
  local tcp, co = uv.new_tcp(), coroutine.running()
  local failure
  tcp:connect("127.0.0.1", port, function(err)
    failure = err
    coroutine.resume(co)
  end)
  coroutine.yield()
  assert(not failure, failure)
  tcp:nodelay(true)
  return setmetatable({ tcp = tcp }, Socket)
end

return host
