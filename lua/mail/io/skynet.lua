--- skynet: its socket library does the reading and writing, in one service (one Lua state).
--
-- A session belongs to the service that opened it; others ask that one by messages. Never chosen by
-- itself: `mail.loop.use "skynet"` in the service.
-- Traps that shape this file: socket.open with a name blocks the socket thread of the whole process in
-- getaddrinfo, so names are resolved by the core, looked after every 10 ms since skynet cannot wait for
-- its descriptor; socket.open cannot be given up, so an attempt that comes too late is closed when it
-- comes. See mail.io.skynet_socket for those of reading and writing.
-- @module mail.io.skynet

local core = require "mail.core"
local Err = require "mail.err"
local fd = require "mail.io.fd"
local inside = require "mail.io.inside"
local stream = require "mail.io.stream"
local lib = require "mail.io.skynet_socket"

local skynet = require "skynet"
local socket = require "skynet.socket"

local STAGGER = 0.25 -- seconds between two attempts (RFC 8305 §5)

local host = {
  name = "skynet", rule = lib.rule, usable = inside.coroutine, now = core.now, event = lib.event, sleep = lib.sleep,
}

function host.spawn(fn, ...) return skynet.fork(fn, ...) end
function host.pause() skynet.sleep(0) end

local resolving = { now = core.now, sleep = lib.sleep, forget = function() end }

function resolving.wait()
  skynet.sleep(1)
  return true
end

-- IPv6 first, then the families in turn (RFC 8305 §4).
local function in_turn(addresses)
  local six, four, list = {}, {}, {}
  for _, address in ipairs(addresses) do
    local family = address:find(":", 1, true) and six or four
    family[#family + 1] = address
  end
  for i = 1, math.max(#six, #four) do
    list[#list + 1] = six[i]
    list[#list + 1] = four[i]
  end
  return list
end

-- One attempt in a thread of its own; whoever is late closes what he got.
local function attempt(race, address, port)
  local id, why = socket.open(address, port)
  if not id then
    race.failed = race.failed + 1
    race.why = race.why or ("cannot connect to %s port %d: %s"):format(address, port, why or "refused")
  elseif race.over then
    socket.close(id)
  else
    race.id, race.over = id, true
  end
  race.event:set()
end

local function failure(kind, message)
  return nil, Err.new { kind = kind, message = message, temporary = true }
end

-- The first of several addresses that answers: a socket of skynet's; or nil, err.
local function run_race(list, port, deadline)
  local race = { failed = 0, event = host.event() }
  local started, due = 0, 0
  while not race.id do
    local at = core.now()
    if race.failed == #list then return failure("connect", race.why) end
    if at >= deadline then
      race.over = true
      return failure("timeout", ("%s:%d: no connection in time"):format(list[1], port))
    end
    if started < #list and (at >= due or race.failed == started) then
      started, due = started + 1, at + STAGGER
      skynet.fork(attempt, race, list[started], port)
    end
    race.event:wait(math.min(deadline, started < #list and due or deadline) - at)
  end
  return race.id
end

function host.dial(name, port, options, deadline)
  if options.local_address then
    local message = "skynet's sockets cannot choose their own address (local_address)"
    return nil, Err.new { kind = "unsupported", message = message, temporary = false }
  end
  local addresses, err = fd.resolve(resolving, name, options, deadline)
  if not addresses then return nil, err end
  local id
  id, err = run_race(in_turn(addresses), port, deadline)
  if not id then return nil, err end
  return lib.transport(id)
end

return stream.complete(host)
