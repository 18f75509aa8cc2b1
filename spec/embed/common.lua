-- What the scripts of spec/embed share: the account in `arg`, and a finalizer on any Lua.
local mail = require "mail"

local common = { imaps = tonumber(arg[1]), submissions = tonumber(arg[2]) }

--- Connect options for the server of the suite.
function common.account(port, more)
  local o = { host = "localhost", port = port or common.imaps, tls = "implicit", user = arg[3], password = arg[4],
    ssl = { ca_file = arg[5] }, timeout = 30 }
  for name, value in pairs(more or {}) do o[name] = value end
  return o
end

--- An object whose collection calls `fn`.
function common.finalizer(fn)
  local proxy = rawget(_G, "newproxy")
  if not proxy then return setmetatable({}, { __gc = fn }) end
  local object = proxy(true)
  getmetatable(object).__gc = fn
  return object
end

--- Turns the loop until `done()`; an error after half a minute.
function common.turn_until(done)
  local give_up = mail.loop.now() + 30
  while not done() do
    if mail.loop.now() > give_up then error("nothing came of it", 2) end
    mail.loop.step(0.1)
  end
end

--- Starts a task that follows INBOX by IDLE: { events = count, err = what ended it }, once it is there.
function common.watch()
  local state = { events = 0 }
  state.task = mail.loop.spawn(function()
    state.imap = assert(mail.imap.connect(common.account()))
    assert(state.imap:select "INBOX")
    local events = assert(state.imap:idle())
    state.idle = true
    while true do
      local event, err = events:next()
      if not event then
        state.err = err
        return
      end
      if event.type == "exists" then state.events = state.events + 1 end
    end
  end)
  common.turn_until(function() return state.idle end)
  return state
end

return common
