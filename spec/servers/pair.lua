-- Dovecot and Exim as one server with the same users. Its own methods act on both; any other field or method is
-- Dovecot's. `dovecot` and `exim` are the two, for a spec that wants to stop only one of them.
local Pair = {}

local function field(self, name)
  local own = Pair[name]
  if own ~= nil then return own end
  local dovecot = rawget(self, "dovecot")
  local value = dovecot[name]
  if type(value) ~= "function" then return value end
  return function(_, ...) return value(dovecot, ...) end
end

function Pair:add_user(...)
  local user = self.dovecot:add_user(...)
  local exim = self.exim
  exim.users = self.dovecot.users
  exim:admit(user)
  return user
end

function Pair:start()
  local ok, why = self.exim:start()
  if not ok then return nil, why end
  ok, why = self.dovecot:start()
  self.running = ok
  return ok, why
end

function Pair:stop()
  self.running = false
  self.dovecot:stop()
  return self.exim:stop()
end

function Pair:restart()
  self:stop()
  return self:start()
end

function Pair:close()
  self.running, self.closed = false, true
  self.dovecot:close()
  self.exim:close()
end

function Pair:log() return self.dovecot:log() .. self.exim:log() end

local M = {}

--- Of two that were prepared, not started: the pair, running, or nil and the reason.
function M.join(dovecot, exim)
  local ports = {}
  for name, port in pairs(dovecot.ports) do ports[name] = port end
  ports.smtp = exim.ports.smtp
  ports.exim_submission, ports.exim_submissions = exim.ports.submission, exim.ports.submissions
  dovecot.relay = exim
  local pair = setmetatable({ dovecot = dovecot, exim = exim, ports = ports }, { __index = field })
  local ok, why = pair:start()
  if not ok then
    pair:close()
    return nil, why
  end
  return pair
end

return M
