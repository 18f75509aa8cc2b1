--- What bounds a fetch that the server never ends: how much of it is held in memory, and for how long.
--
-- Of one that is handed on message by message nothing grows here, and its time is that of an answer for each
-- message that was asked for. All functions get the state of mail.imap.fetch.
-- @module mail.imap.bounds

local core = require "mail.core"

local bounds = {}

-- So many messages have the time of an answer each before it is looked at how many may come.
local FREE = 16

-- What it takes to remember something beside its octets.
local RECORD = 64

--- Puts what is counted into a state.
-- @tparam table state
-- @tparam string set what is asked for
-- @tparam boolean vanished UIDs that are gone are kept
function bounds.begin(state, set, vanished)
  state.set, state.left, state.counted, state.spare = set, FREE, false, false
  state.seconds = state.gap or state.patience
  state.collects, state.held, state.kept = false, 0, 0 -- collects: all messages stay in memory
  state.most, state.gone = state.pump.session:answer_limit(), vanished and {}
end

-- --- time -----------------------------------------------------------------------------------------

-- How many messages the mailbox can have for this set, told twice at most.
local function expected(state)
  local ranges, box = core.uidset(state.set), state.pump.mailbox
  local n = ranges and ranges:count() or math.huge
  return 2 * math.min(n, box and box.exists or math.huge)
end

--- The seconds that the next message has where `left` is 0. A message has those of an answer, and there are as many of
-- these as messages were asked for. What comes behind them, the same ones again and again, shares the seconds of one.
function bounds.time(state)
  if not state.counted then
    state.counted = true
    state.left = math.max(0, expected(state) - FREE)
  end
  if state.left > 0 then return state.seconds end
  state.spare = state.spare or state.seconds
  return state.spare
end

-- --- memory ---------------------------------------------------------------------------------------

--- Counts what is kept until a window ends: a message of that weight, or its number alone.
-- @treturn boolean true where it is more than limits.answer
function bounds.keeps_too_much(state, weight)
  state.kept = state.kept + (weight or RECORD)
  return state.kept > state.most
end

--- Keeps UIDs that are gone. They come in one response, or in a million.
-- @treturn boolean true where they are more than limits.answer
function bounds.has_gone(state, uids)
  state.held = state.held + #uids + RECORD
  if state.held > state.most then return true end
  state.gone[#state.gone + 1] = uids
  return false
end

--- A class of iterators whose field `vanished` is put together when it is asked for.
-- @tparam table class the class without it
-- @treturn table
function bounds.vanishing(class)
  local Vanishing = {}
  for name, value in pairs(class) do Vanishing[name] = value end

  function Vanishing.__index(state, name)
    if name ~= "vanished" then return Vanishing[name] end
    local gone = state.gone
    if gone[2] then
      gone = { table.concat(gone, ",") }
      state.gone = gone
    end
    return gone[1]
  end

  --- The UIDs of which it was told that they are gone since the last time, a set; nil where there are none.
  function Vanishing:take_vanished()
    local gone = self.vanished
    if gone then self.gone, self.held = {}, self.held - #gone end
    return gone
  end

  return Vanishing
end

return bounds
