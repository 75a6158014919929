// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at https://mozilla.org/MPL/2.0/.

// A real server of the forward protocol: writes each event as a line of JSON.
//
//   node server.js OPTIONS
//
// OPTIONS is JSON: "file", what to append to; "port"; "path", a socket to listen
// on instead; "security" as FluentServer has it; "tls", files named "key",
// "cert", and "ca" for the certificates of clients. Prints a line when it
// listens. SIGTERM ends it in order, when its clients have seen that it closes;
// SIGHUP ends it at once.

"use strict";

const fs = require("fs");
const { FluentServer } = require("@fluent-org/logger");

const options = JSON.parse(process.argv[2]);
const tls = options.tls;
const server = new FluentServer({
  security: options.security,
  listenOptions: options.path ? { path: options.path } : { host: "127.0.0.1", port: options.port },
  tlsOptions: tls && {
    key: fs.readFileSync(tls.key),
    cert: fs.readFileSync(tls.cert),
    ca: tls.ca && fs.readFileSync(tls.ca),
    requestCert: Boolean(tls.ca),
    rejectUnauthorized: Boolean(tls.ca),
  },
});
server.on("entry", (tag, time, record) => {
  const event = { tag, time: typeof time === "number" ? time : time.toString(), record };
  fs.appendFileSync(options.file, JSON.stringify(event) + "\n");
});
process.on("SIGTERM", () => server.close().then(() => process.exit(0)));
// Between two events: what was confirmed has been written.
process.on("SIGHUP", () => process.exit(0));
server.listen().then(() => console.log("listening"));
