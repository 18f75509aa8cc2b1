--- Iterators of messages and events: callable objects.
--
-- In a `for` they raise the error object where the network fails halfway, as `io.lines` does, so that a loop which
-- ends early never looks like a whole one. `it:next()` returns an item, nil at the end, or `nil, err`; `it:close()`
-- stops early and leaves the session usable.
-- @module mail.iterator

local iterator = {}

--- A class of iterators whose objects are their own state: `setmetatable(state, class)`.
-- @tparam function advance(state) → item; nil at the end; or nil, err
-- @tparam function finish(state) called once: at the end, at an error, or at `it:close()`
-- @treturn table the metatable
function iterator.class(advance, finish)
  local class = { __name = "mail.iterator" }
  class.__index = class

  --- The next item; nil at the end; or nil, err. After either it stays at its end.
  function class:next()
    if self.ended then return nil end
    local item, err = advance(self)
    if item == nil then self:close() end
    return item, err
  end

  --- Stops; what it was in the middle of is given up, and the session stays usable. Idempotent.
  function class:close()
    if self.ended then return true end
    self.ended = true
    finish(self)
    return true
  end

  -- In a `for`. Written out, not by way of `next`: each frame here is memory of a waiting coroutine.
  function class:__call()
    if self.ended then return nil end
    local item, err = advance(self)
    if item ~= nil then return item end
    self:close()
    if err ~= nil then error(err, 0) end
  end

  class.__close = class.close
  return class
end

--- What a function that makes an iterator returns: what a `for` of Lua 5.4 closes on a break.
-- @return the iterator, nil, nil, the iterator
function iterator.results(it)
  return it, nil, nil, it
end

local Simple = iterator.class(function(self) return self.advance() end, function(self)
  if self.finish then self.finish() end
end)

--- Makes an iterator of two functions.
-- @tparam function next_fn → item; nil at the end; or nil, err
-- @tparam[opt] function close_fn called once: at the end, at an error, or at `it:close()`
-- @return as of `iterator.results`
function iterator.new(next_fn, close_fn)
  return iterator.results(setmetatable({ advance = next_fn, finish = close_fn }, Simple))
end

return iterator
