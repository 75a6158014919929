// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

// A GELF server over TCP or TLS, of which graygelf has only the part that reads
// messages: writes each as a line of JSON.
//
//   node stream.js OPTIONS
//
// OPTIONS is JSON: "file", what to append to; "port"; "tls", files named "key"
// and "cert". Prints a line when it listens. SIGTERM ends it in order, when its
// clients have seen that it closes.

"use strict";

const fs = require("fs");
const net = require("net");
const tls = require("tls");
const messages = require("graygelf/server")();

const options = JSON.parse(process.argv[2]);
messages.on("message", (message) => {
  fs.appendFileSync(options.file, JSON.stringify(message) + "\n");
});

const sockets = new Set();
const serve = (socket) => {
  sockets.add(socket);
  let rest = Buffer.alloc(0);
  socket.on("data", (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    for (let end; (end = rest.indexOf(0)) >= 0; rest = rest.subarray(end + 1)) {
      messages._message(rest.subarray(0, end));
    }
  });
  socket.on("error", () => {});
  socket.on("close", () => sockets.delete(socket));
};
const server = options.tls
  ? tls.createServer(
      { key: fs.readFileSync(options.tls.key), cert: fs.readFileSync(options.tls.cert) },
      serve,
    )
  : net.createServer(serve);
process.on("SIGTERM", () => {
  server.close(() => process.exit(0));
  sockets.forEach((socket) => socket.end());
});
server.on("error", (error) => {
  console.error(error);
  process.exit(1);
});
server.listen(options.port, "127.0.0.1", () => console.log("listening"));
