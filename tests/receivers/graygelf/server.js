// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

// A real GELF server over UDP: writes each message as a line of JSON.
//
//   node server.js FILE
//
// FILE is what to append to. Prints the port when it listens; ends at SIGTERM.

"use strict";

const dgram = require("dgram");
const fs = require("fs");
const server = require("graygelf/server")();

server.on("message", (message) => {
  fs.appendFileSync(process.argv[2], JSON.stringify(message) + "\n");
});
server.on("error", (error) => {
  console.error(error);
  process.exit(1);
});

// It takes no port 0 for any: ask for a free one first.
const probe = dgram.createSocket("udp4");
probe.bind(0, "127.0.0.1", () => {
  const { port } = probe.address();
  probe.close(() => {
    server.listen(port, "127.0.0.1");
    server._udp.on("listening", () => console.log(port));
  });
});
