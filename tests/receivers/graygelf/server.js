// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

// A real GELF server over UDP: writes each message as a line of JSON.
//
//   node server.js OPTIONS
//
// OPTIONS is JSON: "file", what to append to; "port". Prints a line when it
// listens.

"use strict";

const fs = require("fs");
const server = require("graygelf/server")();

const options = JSON.parse(process.argv[2]);
server.on("message", (message) => {
  fs.appendFileSync(options.file, JSON.stringify(message) + "\n");
});
server.on("error", (error) => {
  console.error(error);
  process.exit(1);
});

server.listen(options.port, "127.0.0.1");
server._udp.on("listening", () => console.log("listening"));
