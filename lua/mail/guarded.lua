--- pcall for functions that may wait: `guarded(fn, …)`.
--
-- PUC Lua 5.1 cannot wait inside pcall. There, in a coroutine, the function is simply called, and an error that it
-- raises ends that coroutine: whoever keeps state for it must see by its status that it is gone.
-- @module mail.guarded

if _VERSION ~= "Lua 5.1" or rawget(_G, "jit") then return pcall end

return function(fn, ...)
  if coroutine.running() then return true, fn(...) end
  return pcall(fn, ...)
end
