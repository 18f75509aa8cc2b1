-- A host that forks with sessions open: the child is told that they are not its own, works with its own, and
-- whatever it does, the parent's stay whole.
local common = require "spec.embed.common"
local mail = require "mail"

local watch = common.watch()
local session = assert(mail.imap.connect(common.account()))
assert(session:examine "INBOX")
local ended
mail.loop.spawn(function() -- parked in the middle of a command
  ended = select(2, session:noop())
end)
local sleeper = mail.loop.spawn(function() mail.loop.sleep(0.01) end)

local function foreign(ok, err)
  assert(ok == nil and err.kind == "closed", tostring(err))
  assert(tostring(err):find("fork", 1, true), tostring(err))
end

local children = {
  function() -- asks, is refused, and waits for its own
    foreign(session:noop())
    foreign(watch.imap:noop())
    common.turn_until(function() return watch.err end)
    foreign(nil, watch.err)
    sleeper:join()
    local own = assert(mail.imap.connect(common.account()))
    assert(own:examine "INBOX")
    assert(own:logout())
  end,
  function() -- turns the loop first: everybody finds out
    mail.loop.step(0)
    common.turn_until(function() return watch.err and watch.task.done end)
    foreign(nil, watch.err)
  end,
  function() -- closes
    session:close()
    watch.imap:close()
  end,
  function() -- collects
    session, watch = nil, nil
    collectgarbage()
    collectgarbage()
  end,
  function() leave(0) end, -- luacheck: ignore
  function() end, -- and what closing the state does
  function() -- forks again
    foreign(session:noop())
    local own = common.watch()
    local child = fork() -- luacheck: ignore
    if child == 0 then
      foreign(own.imap:noop())
      leave(0) -- luacheck: ignore
    end
    assert(wait(child) == 0) -- luacheck: ignore
    assert(own.imap:noop())
    assert(own.imap:logout())
  end,
  function(begun) -- a name being resolved, a connection under way: only the parent may end it
    common.turn_until(function() return begun.err or begun.imap end)
    if begun.imap then return foreign(begun.imap:noop()) end -- it was quick
    assert(tostring(begun.err):find("fork", 1, true), tostring(begun.err))
  end,
}

-- The last one at several stages of that connection.
for _ = 1, 4 do children[#children + 1] = children[#children] end

-- A connection that is `steps` turns of the loop old.
local function begin(steps)
  local begun = {}
  mail.loop.spawn(function() begun.imap, begun.err = mail.imap.connect(common.account()) end)
  for _ = 1, steps do mail.loop.step(0) end
  return begun
end

for i, child in ipairs(children) do
  local begun = begin(i % 5 + 1)
  local process = fork() -- luacheck: ignore
  if process == 0 then
    child(begun)
    return
  end
  assert(wait(process) == 0, "the child failed") -- luacheck: ignore
  common.turn_until(function() return begun.imap or begun.err end)
  assert(begun.imap, tostring(begun.err))
  assert(begun.imap:logout())
  assert(session:noop())
end

common.turn_until(function() return sleeper.done end)
assert(ended == nil, tostring(ended))
local before = watch.events
assert(session:append("INBOX", "Subject: one\r\n\r\n" .. ("x"):rep(70) .. "\r\n"))
common.turn_until(function() return watch.events > before end)
assert(watch.imap:noop())
assert(session:logout())
