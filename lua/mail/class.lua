--- Session classes: C methods, Lua methods and computed fields behind one metatable.
-- @module mail.class

local class = {}

--- Adds Lua methods to a class made by the core.
-- @tparam table mt the metatable from the core; its `__index` holds the C methods
-- @tparam table methods name → function(self, …)
-- @tparam[opt] table fields name → function(self), computed at each access (`session.capabilities`)
-- @treturn table mt
function class.extend(mt, methods, fields)
  local all = mt.__index
  for name, fn in pairs(methods) do all[name] = fn end
  fields = fields or {}
  mt.methods = all
  mt.__index = function(self, name)
    local method = all[name]
    if method ~= nil then return method end
    local field = fields[name]
    if field then return field(self) end
  end
  mt.__close = function(self) self:close() end
  return mt
end

return class
