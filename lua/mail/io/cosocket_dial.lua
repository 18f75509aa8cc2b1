--- How the OpenResty adapter connects: names, addresses, the pool, and nginx's own TLS.
--
-- nginx resolves names only where its configuration has a `resolver`, and then knows neither /etc/hosts
-- nor "localhost"; our own resolver knows both. Addresses are tried one after the other.
-- @module mail.io.cosocket_dial

local core = require "mail.core"
local Err = require "mail.err"
local cosocket = require "mail.io.cosocket"
local fd = require "mail.io.fd"

local ngx = ngx -- nil outside of nginx
local now, call, milliseconds = core.now, cosocket.call, cosocket.milliseconds

-- The pool of connections that are never put into one: those of other libraries are named host:port.
local UNSHARED = "lua-mail: never pooled"

local function failure(kind, temporary, message, ...)
  return nil, Err.new { kind = kind, message = message:format(...), temporary = temporary }
end

-- Our own resolver knows /etc/hosts. nginx cannot wait for its descriptor: it is looked at now and then.
local resolving = { now = now, sleep = function(seconds) ngx.sleep(seconds) end }

-- In a thread: nginx's resolver has a time-out of its own (resolver_timeout), ours is to hold, too.
local function connect_in_time(self, host, port, pool, seconds)
  local semaphore = require "ngx.semaphore".new()
  local ok, why
  local thread = ngx.thread.spawn(function()
    ok, why = call(self, "connect", host, port, pool)
    semaphore:post(1)
  end)
  if semaphore:wait(seconds) then
    ngx.thread.wait(thread)
    return ok, why
  end
  ngx.thread.kill(thread)
  return nil, "timeout"
end

-- One address, or a name for nginx's resolver: transport; or nil, err.
local function attempt(host, port, options, seconds, by_name)
  if seconds <= 0 then return failure("timeout", true, "%s:%d: no connection in time", host, port) end
  local self = cosocket.new(options.pool)
  if options.local_address then
    local ok, why = call(self, "bind", options.local_address)
    if not ok then return failure("connect", false, "local address %s: %s", options.local_address, why) end
  end
  self.socket:settimeouts(milliseconds(seconds), nil, nil)
  local literal, pool = host:find(":", 1, true) and "[" .. host .. "]" or host, { pool = options.pool or UNSHARED }
  local ok, why
  if by_name then
    ok, why = connect_in_time(self, literal, port, pool, seconds)
  else
    ok, why = call(self, "connect", literal, port, pool)
  end
  if not ok then
    call(self, "close")
    if why == "timeout" then return failure("timeout", true, "%s:%d: no connection in time", host, port) end
    local unresolved = why:find("resolve", 1, true)
    return failure(unresolved and "dns" or "connect", not (why:find("(3:", 1, true) or why:find "^no resolver"),
      "%s:%d: %s", host, port, why)
  end
  self.reused = (call(self, "getreusedtimes") or 0) > 0
  return self
end

-- A Unix socket.
local function attempt_path(path, options, seconds)
  local self = cosocket.new(options.pool)
  self.socket:settimeouts(milliseconds(seconds), nil, nil)
  local ok, why = call(self, "connect", "unix:" .. path, { pool = options.pool or UNSHARED })
  if ok then return self end
  call(self, "close")
  if why == "timeout" then return failure("timeout", true, "%s: no connection in time", path) end
  return failure("connect", true, "cannot connect to %s: %s", path, why)
end

-- One address after the other; each has its share of what time is left.
local function attempt_all(list, port, options, deadline)
  local transport, err
  for i, address in ipairs(list) do
    transport, err = attempt(address, port, options, (deadline - now()) / (#list - i + 1))
    if transport then return transport end
  end
  return nil, err
end

-- nginx's resolver where there is one; our own where it has no answer, or where the user wants that.
local function reach(name, port, options, deadline)
  if options.path then return attempt_path(options.path, options, deadline - now()) end
  local numeric = name:match "^%[?([%x:.]*:[%x:.]*)%]?$" or name:match "^%d+%.%d+%.%d+%.%d+$"
  if numeric then return attempt(numeric, port, options, deadline - now()) end
  local which = options.resolver or options.dns_servers and "own"
  if which ~= "own" then
    local transport, err = attempt(name, port, options, deadline - now(), true)
    if transport or which == "host" or err.kind == "timeout" then return transport, err end
  end
  local list, err = fd.resolve(resolving, name, { dns_servers = options.dns_servers }, deadline)
  if not list then return nil, err end
  return attempt_all(list, port, options, deadline)
end

-- Connects, with nginx's TLS where that is asked for (`tls_by = "host"`).
-- @tparam string name host name or address literal
-- @tparam number port
-- @tparam table options `resolver`, `dns_servers`, `local_address`, `tls_by`, `ssl`, `pool` (its name)
-- @tparam number deadline
-- @treturn table transport: `reused` where it comes from the pool, `secure` under nginx's TLS; or nil, err
local function dial(name, port, options, deadline)
  local transport, err = reach(name, port, options, deadline)
  if not transport or options.tls_by ~= "host" then return transport, err end
  transport.secure = true
  if transport.reused then return transport end
  local ssl = options.ssl or {}
  transport.socket:settimeouts(milliseconds(deadline - now()), nil, nil)
  -- Not `false` for the session to resume: then a handshake that ends at once is called good although its
  -- certificate was refused (seen with ngx_lua 0.10.23), and only the closed socket tells.
  local ok, why = call(transport, "sslhandshake", nil, ssl.server_name or name, ssl.verify ~= false)
  if ok then return transport end
  transport:close()
  if why == "timeout" then return failure("timeout", true, "%s:%d: no TLS in time", name, port) end
  if why:find("assertion failed", 1, true) then why = "the certificate was refused (see nginx's log)" end
  return failure("tls", false, "%s:%d: %s", name, port, why)
end

return dial
