--- Session classes: C methods, Lua methods and computed fields behind one metatable.
-- @module mail.class

local Pump = require "mail.pump"

local class = {}

-- What every session has, for a host that drives it by hand.
local common = {}

--- The descriptor of the session's socket; nil where it has none.
function common:fd()
  local pump = Pump.of(self)
  local conn = pump and not pump.failure and pump.conn
  return conn and conn.fd and conn:fd() or nil
end

--- Seconds until the call that waits on this session gives up; nil where none waits.
function common:deadline()
  local pump = Pump.of(self)
  return pump and pump:seconds_left()
end

-- What the transport should wait for is the core's to say, as long as there is a session.
local function wants_of(wants)
  return function(self)
    if self:is_freed() then return nil end
    return wants(self)
  end
end

--- A field that is one of the pump's; nil for a session without a transport.
function class.of_pump(name)
  return function(self)
    local pump = Pump.of(self)
    return pump and pump[name]
  end
end

--- `session.tls`: facts of our own TLS, `{ by = "host" }` under the host's, nil in clear and once closed.
function class.tls(self)
  if self:is_freed() then return nil end
  local pump = Pump.of(self)
  return self:tls_info() or (pump and pump:is_secure() and { by = "host" }) or nil
end

--- Adds Lua methods to a class made by the core.
-- @tparam table mt the metatable from the core; its `__index` holds the C methods
-- @tparam table methods name → function(self, …)
-- @tparam[opt] table fields name → function(self), computed at each access (`session.capabilities`)
-- @treturn table mt
function class.extend(mt, methods, fields)
  local all = mt.__index
  all.wants = wants_of(all.wants)
  for name, fn in pairs(common) do all[name] = fn end
  for name, fn in pairs(methods) do all[name] = fn end
  fields = fields or {}
  mt.methods = all
  mt.__index = function(self, name)
    local method = all[name]
    if method ~= nil then return method end
    local field = fields[name]
    if field then return field(self) end
  end
  mt.__close = function(self) self:close() end
  return mt
end

return class
