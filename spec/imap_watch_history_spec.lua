-- mail.imap.watch beside a session that appends, flags, expunges and moves on a real Dovecot, links cut on either
-- side at random: the picture that the events draw is the mailbox at the end. The seed fixes what is done, not when
-- the server tells of it. Thousands of histories against a model: imap_watch_model_spec.lua.

local imap = require "mail.imap"
local loop = require "mail.loop"
local mailbox = require "spec.support.mailbox"
local model = require "spec.support.imap_model"

local HISTORIES, STEPS = 10, 40
local FLAGS = { "\\Seen", "\\Flagged", "work" }

local dovecot, missing = mailbox.server()
local real = mailbox.real(it, pending, dovecot, missing)

local draw = {}

function draw.new(picture, event)
  assert.is_nil(picture[event.uid], "told twice")
  picture[event.uid] = model.flag_text(event.flags)
end

function draw.changed(picture, event)
  assert.is_string(picture[event.uid], "a change of what is unknown")
  picture[event.uid] = model.flag_text(event.flags)
end

function draw.vanished(picture, event)
  for lo, hi in event.uids:gmatch "(%d+):?(%d*)" do
    for uid = tonumber(lo), tonumber(hi) or tonumber(lo) do
      assert.is_string(picture[uid], "what is unknown has vanished")
      picture[uid] = nil
    end
  end
end

-- What the mailbox is, \Recent apart: it is another for each session.
local function truth(session)
  local picture = {}
  for _, m in ipairs(assert(session:fetch_all("1:*", { "uid", "flags" }))) do
    m.flags["\\Recent"] = nil
    picture[m.uid] = model.flag_text(m.flags)
  end
  return picture
end

local function paint(picture, event)
  if not draw[event.type] then return end
  if event.flags then event.flags["\\Recent"] = nil end
  draw[event.type](picture, event)
end

-- One step of somebody else's: true; or nil, err, and it may have been done.
local function step(session, dice)
  local uids, err = session:search()
  if not uids then return nil, err end
  local what = dice:roll(10)
  local uid = #uids > 0 and uids[dice:roll(#uids)]
  if not uid or what <= 4 then
    return session:append("INBOX", "Subject: x\n\n", { flags = dice:once_in(2) and { FLAGS[dice:roll(3)] } or nil })
  elseif what <= 7 then
    return session:store(uid, { [dice:once_in(3) and "remove" or "add"] = { FLAGS[dice:roll(3)] } })
  elseif what <= 9 then
    local ok, why = session:store(uid, { add = "\\Deleted" })
    if not ok then return nil, why end
    return session:expunge(uid)
  end
  return session:move(uid, "Trash")
end

-- A step, by another session where the server has closed this one, too: the session.
local function change(session, user, dice)
  local ok, err = step(session, dice)
  if ok then return session end
  assert.is_truthy(err.kind == "closed" or err.kind == "unknown", tostring(err))
  session = mailbox.open(dovecot, user)
  assert(session:select "INBOX")
  return session
end

-- The watched link goes: closed here, or by the server.
local function cut(it, user, dice)
  if dice:once_in(2) then
    if it.session then it.session:close() end
  else
    dovecot:doveadm { "kick", user.name }
  end
end

local function play(seed)
  local dice, picture = model.dice(seed), {}
  local session, user = mailbox.with(dovecot, { "Subject: first\n\n" })
  session:create "Trash"
  local options = { backoff = { min = 0.01, max = 0.05 }, timeout = 10 }
  local it = imap.watch(mailbox.options(dovecot, user, "none", options))
  local watcher = loop.spawn(function()
    while true do
      local event = assert(it:next())
      paint(picture, event)
      if event.type == "new" and event.flags.last then return it:state() end
    end
  end)
  for _ = 1, STEPS do
    if dice:once_in(8) then cut(it, user, dice) end
    session = change(session, user, dice)
    if dice:once_in(3) then loop.sleep(0.003) end
  end
  while not session:append("INBOX", "Subject: last\n\n", { flags = { "last" } }) do
    session = mailbox.open(dovecot, user)
    assert(session:select "INBOX")
  end
  options.since, options.live = watcher:join(), false
  it:close()
  it = imap.watch(mailbox.options(dovecot, user, "none", options))
  local event, err = it:next()
  while event do
    paint(picture, event)
    event, err = it:next()
  end
  assert.is_nil(err)
  assert.same(truth(session), picture)
  session:close()
end

describe("mail.imap.watch and a real mailbox", function()
  for seed = 1, HISTORIES do
    real("agree after history " .. seed, function()
      loop.run(play, seed)
    end)
  end
end)
