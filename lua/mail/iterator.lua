--- Iterators as the API wants them (§1): callable objects.
--
-- In a `for` they raise the error object where the network fails halfway, as `io.lines` does;
-- `it:next()` returns `nil, err` instead; `it:close()` stops early.
-- @module mail.iterator

local Iterator = {}
Iterator.__index = Iterator
Iterator.__name = "mail.iterator"

local iterator = {}

--- Makes an iterator.
-- @tparam function next_fn → item; nil at the end; or nil, err
-- @tparam[opt] function close_fn called once: at the end, at an error, or at `it:close()`
-- @return the iterator, nil, nil, the iterator: what a `for` of Lua 5.4 closes on a break
function iterator.new(next_fn, close_fn)
  local it = setmetatable({ advance = next_fn, finish = close_fn }, Iterator)
  return it, nil, nil, it
end

--- The next item; nil at the end; or nil, err. After either it stays at its end.
function Iterator:next()
  if not self.advance then return nil end
  local item, err = self.advance()
  if item == nil then self:close() end
  return item, err
end

--- Stops; what it was in the middle of is given up, and the session stays usable. Idempotent.
function Iterator:close()
  self.advance = nil
  local finish = self.finish
  self.finish = nil
  if finish then finish() end
  return true
end

function Iterator:__call()
  local item, err = self:next()
  if item == nil and err ~= nil then error(err, 0) end
  return item
end

Iterator.__close = Iterator.close

return iterator
