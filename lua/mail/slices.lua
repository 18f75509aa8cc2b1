--- Long computations (the key of SCRAM) in slices: one slice for each turn of the loop, whoever computes.
--
-- A thousand log-ins that each give way after a slice would still hold the loop for a thousand slices a turn. So
-- one of them computes at a time, and the others sleep until it is their turn; after a run of slices the next
-- is let in, so that nobody who was given a million rounds holds up the rest.
-- How much a slice is, is measured: on a slow machine, or with a slow digest, slices become smaller, so that the
-- loop is never held for much longer than LONG.
-- Invariant: who computes is resumed by its loop. Where that one is never resumed again (a coroutine that was
-- dropped), whoever sleeps behind it finds out and goes on.
-- @module mail.slices

local core = require "mail.core"

local slices = {}

local clock = core.now -- that of the adapter may stand still within a turn

-- Slices in a row while others wait: 4096 rounds of SCRAM, where they are of full size.
local RUN = 16
-- Rounds of a slice: at most (LM_SCRAM_SLICE), and at least.
local MOST, LEAST = 256, 16
-- Seconds: a slice that took longer than the first is halved, one that took less than the second doubled. Both
-- together must leave a gap of more than two between them, or a slice would swing.
local LONG, SHORT = 0.00025, 0.0001
-- Seconds without a slice after which the one whose turn it is counts as gone.
local PATIENCE = 1

-- One queue for each loop. An adapter's copies have its `event` in common.
local queues = setmetatable({}, { __mode = "k" })

local function queue_of(host)
  local queue = queues[host.event]
  if not queue then
    queue = { first = 1, last = 0, done = 0, rounds = MOST }
    queues[host.event] = queue
  end
  return queue
end

-- Lets the next one in that still waits.
local function leave(queue)
  queue.busy = nil
  while queue.first <= queue.last do
    local place = queue[queue.first]
    queue[queue.first] = nil
    queue.first = queue.first + 1
    if not place.gone then
      queue.busy = place
      place.event:set()
      return
    end
  end
end

-- Waits for its turn. true | nil, "timeout" | "cancelled"
local function enter(queue, host, deadline)
  local place = {}
  if not queue.busy then
    queue.busy = place
    return place
  end
  place.event = host.event()
  queue.last = queue.last + 1
  queue[queue.last] = place
  while queue.busy ~= place do
    local done, left = queue.done, deadline and deadline - host.now() or PATIENCE
    local _, why = place.event:wait(math.max(0, math.min(left, PATIENCE)))
    if queue.busy ~= place then
      if why == "timeout" and queue.done == done and left >= PATIENCE then
        leave(queue) -- perhaps to another one, who gets here in its time
      elseif why and (why ~= "timeout" or host.now() >= (deadline or math.huge)) then
        place.gone = true
        return nil, why
      end
    end
  end
  return place
end

-- One slice; the size of the next follows from the time that it took.
local function slice(queue, work, subject)
  local began = clock()
  local result, words = work(subject, queue.rounds)
  local took = clock() - began
  if took > LONG then
    queue.rounds = math.max(queue.rounds / 2, LEAST)
  elseif took < SHORT and result == false then -- the last one of a computation has fewer rounds to do
    queue.rounds = math.min(queue.rounds * 2, MOST)
  end
  return result, words
end

--- Calls `work` until it returns something else than false, a slice a turn.
-- @tparam table host the adapter of the loop
-- @tparam function work(subject, rounds) does a slice of so many rounds; false: there is more
-- @param subject
-- @tparam[opt] number deadline absolute; the wait for a turn ends with it
-- @return what `work` returned at last; or false, "timeout" or "cancelled"
function slices.run(host, work, subject, deadline)
  local queue = queue_of(host)
  local place, why = enter(queue, host, deadline)
  if not place then return false, why end
  local n = 0
  while true do
    host.pause()
    local result, words = slice(queue, work, subject)
    queue.done, n = queue.done + 1, n + 1
    if result ~= false then
      if queue.busy == place then leave(queue) end
      return result, words
    end
    if n % RUN == 0 and queue.busy == place and queue.first <= queue.last then
      leave(queue)
      place, why = enter(queue, host, deadline)
      if not place then return false, why end
    end
  end
end

return slices
