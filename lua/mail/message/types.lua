--- Media types by the ending of a file's name: those that people attach.
-- @module mail.message.types

local ascii = require "mail.ascii"

local BY_TYPE = {
  ["application/epub+zip"] = "epub", ["application/gzip"] = "gz tgz", ["application/java-archive"] = "jar",
  ["application/json"] = "json", ["application/msword"] = "doc dot", ["application/pdf"] = "pdf",
  ["application/pgp-signature"] = "asc sig", ["application/pkcs7-mime"] = "p7m", ["application/postscript"] = "ps eps",
  ["application/rtf"] = "rtf", ["application/vnd.ms-excel"] = "xls", ["application/vnd.ms-powerpoint"] = "ppt",
  ["application/vnd.oasis.opendocument.presentation"] = "odp",
  ["application/vnd.oasis.opendocument.spreadsheet"] = "ods",
  ["application/vnd.oasis.opendocument.text"] = "odt",
  ["application/vnd.openxmlformats-officedocument.presentationml.presentation"] = "pptx",
  ["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"] = "xlsx",
  ["application/vnd.openxmlformats-officedocument.wordprocessingml.document"] = "docx",
  ["application/x-7z-compressed"] = "7z", ["application/x-bzip2"] = "bz2", ["application/x-tar"] = "tar",
  ["application/x-xz"] = "xz", ["application/xml"] = "xml", ["application/zip"] = "zip",
  ["audio/flac"] = "flac", ["audio/mpeg"] = "mp3", ["audio/mp4"] = "m4a", ["audio/ogg"] = "oga ogg opus",
  ["audio/wav"] = "wav", ["image/avif"] = "avif", ["image/bmp"] = "bmp", ["image/gif"] = "gif",
  ["image/heic"] = "heic", ["image/jpeg"] = "jpg jpeg jpe", ["image/png"] = "png", ["image/svg+xml"] = "svg",
  ["image/tiff"] = "tif tiff", ["image/vnd.microsoft.icon"] = "ico", ["image/webp"] = "webp",
  ["message/rfc822"] = "eml", ["text/calendar"] = "ics", ["text/css"] = "css", ["text/csv"] = "csv",
  ["text/html"] = "html htm", ["text/javascript"] = "js", ["text/markdown"] = "md",
  ["text/plain"] = "txt text log lua c h", ["text/vcard"] = "vcf", ["video/mp4"] = "mp4",
  ["video/mpeg"] = "mpeg mpg", ["video/quicktime"] = "mov", ["video/webm"] = "webm",
}

local by_ending = {}
for name, endings in pairs(BY_TYPE) do
  for ending in endings:gmatch "%S+" do by_ending[ending] = name end
end

--- The media type for a file name; "application/octet-stream" where nothing is known of it.
return function(name)
  local ending = name and name:match "%.([A-Za-z0-9]+)$"
  return ending and by_ending[ascii.lower(ending)] or "application/octet-stream"
end
