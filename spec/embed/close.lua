-- States that are closed in the middle of something; `round` says of what. The state's own order of finalizers
-- decides who goes first: no order may crash, leak, or send anything.
local common = require "spec.embed.common"
local core = require "mail.core"
local mail = require "mail"

local session
local function close_late()
  -- Some of what the session needs may be gone: an error is fine, a crash is not.
  pcall(function()
    session:close()
    mail.loop.step(0)
  end)
end

-- What the loop goes on with while the state is being closed.
local function connect(port)
  mail.loop.spawn(function() mail.imap.connect(common.account(port)) end)
  mail.loop.step(0)
end

local rounds = {
  function() common.watch() end, -- parked, and in IDLE
  function() -- a finalizer that is older than the session: it runs after those of the core
    common.keep = common.finalizer(close_late)
    session = common.watch().imap
  end,
  function() -- a younger one: it runs before
    session = common.watch().imap
    common.keep = common.finalizer(close_late)
  end,
  function() -- in the middle of a fetch, of which much has come
    session = assert(mail.imap.connect(common.account()))
    assert(session:examine "INBOX")
    common.keep = assert(session:fetch("1:*", { "body" }))
    assert(common.keep:next())
  end,
  function() -- a name being resolved
    connect()
  end,
  function() -- a handshake with somebody who says nothing
    local mute = assert(core.listen("127.0.0.1", "0"))
    local _, port = mute:name()
    connect(port)
    for _ = 1, 20 do mail.loop.step(0.005) end
    common.keep = mute
  end,
  function() -- cancelled and not run since
    local watch = common.watch()
    watch.task:cancel()
  end,
  function() -- a task that is not done, in a loop that broke off
    local ok = pcall(mail.loop.run, function()
      common.watch()
      error "broken off"
    end)
    assert(not ok)
    common.watch()
  end,
  function() -- the loop is collected at once, the session's user value too
    session = common.watch().imap
    package.loaded["mail.loop"], package.loaded["mail.core"], mail = nil, nil, nil
    collectgarbage()
    collectgarbage()
  end,
}

assert(rounds[rawget(_G, "round")], "no such round")()
