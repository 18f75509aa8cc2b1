-- Our side of scram-logins: n log-ins by SCRAM-SHA-256 side by side, all begun at once, at servers in this
-- process (spec/support/scram_server.lua; their few octets are counted with ours). The host gives the loop frames
-- of half a millisecond: `loop.step(0, { budget = 0.0005 })`. What counts is how long it is held: by the longest
-- frame, and by the longest turn of one task (`step`), both in microseconds of processor time, so that another
-- process that takes the processor away is not counted.
--
-- gc=off   Lua's collector is stopped: our work alone
-- gc=steps `collectgarbage("incremental", 200, 100, 9)`: the smallest steps that keep up. What is left is the
--          atomic part, in which Lua visits the stack of every coroutine at once
-- gc=own   the collector as the interpreter starts it (lua5.4: generational, which stops the program for a whole
--          collection)
-- plain=1  nobody computes: what the rest of a log-in costs
-- clock=1  arithmetic for as long: what the machine itself adds to the longest of many pieces
-- bare=1   no mail at all: as many coroutines, which keep and drop as many tables, functions and strings as a
--          log-in does (counted by an allocator of our own). What the collector takes there is Lua's own

package.path = "./?.lua;" .. package.path

local longest, began = 0, 0
local resume = coroutine.resume

local function took(...)
  local d = os.clock() - began
  if d > longest then longest = d end
  return ...
end

-- Before the loop takes it. No closure: the collector is to have no work that the clock made.
coroutine.resume = function(...) -- luacheck: ignore
  began = os.clock()
  return took(resume(...))
end

local common = require "spec.bench.ours.common"
local mail = require "mail"
local Pump = require "mail.pump"
local Server = require "spec.support.scram_server"

local o = common.options
local loop = mail.loop
local mechanism = o.plain == 1 and "PLAIN" or "SCRAM-SHA-256"
local FRAME = { budget = 0.0005 }

local done = 0

local function log_in()
  local session = mail.pop3.session()
  local pump = Pump.open(session, Server.new(mechanism, loop.native), nil, { timeout = 600 })
  local ok, err = mail.pop3.greet(pump, { tls = "none", allow_plaintext_login = true, user = "ann",
    password = "secret", mechanism = mechanism }, pump:deadline())
  if not ok then error(err, 0) end
  pump:close() -- what is closed has nothing left to do for the collector, which ends all that it finds in one go
  done = done + 1
end

-- What a log-in keeps until it has ended, and what it makes meanwhile; how deep in calls it waits.
local TABLES, FUNCTIONS, FINALIZED, TURNS, DEPTH = 31, 14, 4, 18, 10
local FINALIZER = { __gc = function() end }
local serial = 0

local function deep(n, kept)
  if n > 0 then
    local a, b, c, d = { kept }, n, kept, deep
    local result = deep(n - 1, kept)
    return a and b and c and d and result
  end
  for _ = 1, TURNS do
    serial = serial + 1
    kept.last = ("%d"):format(serial)
    loop.native.pause()
  end
  return kept
end

local function idle()
  local kept = {}
  for i = 1, TABLES - DEPTH do kept[i] = { i, name = i, kept = kept, ("x"):rep(16) } end
  for i = 1, FINALIZED do kept[-i] = setmetatable({ ("x"):rep(400) }, FINALIZER) end
  for _ = 1, FUNCTIONS do kept[#kept + 1] = function() return kept end end
  deep(DEPTH, kept)
  done = done + 1
end

local function count()
  for _ = 1, 16 do
    local x = 0
    for i = 1, 9000 do x = (x + i) % 7 end
    loop.native.pause()
  end
  done = done + 1
end

local COLLECTOR = {
  off = function() collectgarbage "stop" end,
  steps = function()
    if _VERSION == "Lua 5.4" then return collectgarbage("incremental", 200, 100, 9) end
    collectgarbage("setstepmul", 100)
  end,
  own = function() end,
}

local function frames(task)
  local longest_frame = 0
  for _ = 1, o.n do loop.spawn(task) end
  local last = os.clock()
  repeat
    local alive = loop.step(0, FRAME)
    local now = os.clock()
    if now - last > longest_frame then longest_frame = now - last end
    last = now
  until alive == 0
  return longest_frame
end

local task = o.bare == 1 and idle or o.clock == 1 and count or log_in
loop.spawn(task) -- the first of a process loads digests, random numbers, tables of names
while loop.step(0, FRAME) > 0 do end -- luacheck: ignore
collectgarbage()
COLLECTOR[o.gc]()
done, longest = 0, 0
common.begin()
local frame = frames(task)
common.finish(done, { step = longest * 1e6, frame = frame * 1e6 })
