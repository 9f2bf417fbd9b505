-- No From at all, and one that can't be read.
local conn = open()

send(conn, "<" .. DEVICE .. ">", {{"Subject", "x"}})
check_reply(conn, SMFIR_CONTINUE)
check_added(conn, "From", RELAY)
check_added(conn, "Reply-To", DEVICE)

send(conn, "<" .. DEVICE .. ">", {{"From", '"Scan <' .. DEVICE .. ">"}})
check_reply(conn, SMFIR_CONTINUE)
check_changed(conn, "From", "Scan <" .. RELAY .. ">")
mt.disconnect(conn)
