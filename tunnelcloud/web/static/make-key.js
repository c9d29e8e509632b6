"use strict";
// Makes an SSH key pair in this browser: the private part becomes a file here and is never sent.
// A dropped or chosen .pub file is read here, too.
{
  const encoder = new TextEncoder();
  const join = (...parts) => {
    const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
    let at = 0;
    for (const part of parts) { whole.set(part, at); at += part.length; }
    return whole;
  };
  const number = (value) => new Uint8Array([value >>> 24, value >>> 16, value >>> 8, value]);
  // RFC 4251, 5: a string has its length before it; an mpint is one without needless zeros, and
  // with one zero where its first bit would be a sign.
  const string = (value) => {
    const bytes = typeof value === "string" ? encoder.encode(value) : value;
    return join(number(bytes.length), bytes);
  };
  const mpint = (bytes) => {
    let start = 0;
    while (start < bytes.length && bytes[start] === 0) start += 1;
    const plain = bytes.subarray(start);
    return string(plain[0] & 0x80 ? join(new Uint8Array(1), plain) : plain);
  };
  const base64 = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  const bytesOf = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));
  const pem = (kind, bytes) => {
    const lines = base64(bytes).match(/.{1,64}/g).join("\n");
    return `-----BEGIN ${kind} PRIVATE KEY-----\n${lines}\n-----END ${kind} PRIVATE KEY-----\n`;
  };

  // PROTOCOL.key of OpenSSH, without a passphrase.
  const opensshFile = (publicBlob, privateFields, comment) => {
    const check = crypto.getRandomValues(new Uint8Array(4));
    const plain = join(check, check, privateFields, string(comment));
    const padding = Uint8Array.from({ length: (8 - plain.length % 8) % 8 }, (_, index) => index + 1);
    return pem("OPENSSH", join(encoder.encode("openssh-key-v1\0"), string("none"), string("none"), string(""),
      number(1), string(publicBlob), string(join(plain, padding))));
  };

  const makers = {
    async ed25519(comment) {
      const pair = await crypto.subtle.generateKey({ name: "Ed25519" }, true, ["sign", "verify"]);
      const { x, d } = await crypto.subtle.exportKey("jwk", pair.privateKey);
      const half = bytesOf(x);
      const blob = join(string("ssh-ed25519"), string(half));
      return ["ssh-ed25519", blob, opensshFile(blob, join(blob, string(join(bytesOf(d), half))), comment)];
    },
    async ecdsa(comment) {
      const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
      const { x, y, d } = await crypto.subtle.exportKey("jwk", pair.privateKey);
      const point = join(new Uint8Array([4]), bytesOf(x), bytesOf(y));
      const blob = join(string("ecdsa-sha2-nistp256"), string("nistp256"), string(point));
      return ["ecdsa-sha2-nistp256", blob, opensshFile(blob, join(blob, mpint(bytesOf(d))), comment)];
    },
    // Old tools read PKCS#1 only; in PKCS#8 it stands behind 26 bytes that say what it is.
    async rsa() {
      const kind = { name: "RSASSA-PKCS1-v1_5", modulusLength: 4096, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" };
      const pair = await crypto.subtle.generateKey(kind, true, ["sign", "verify"]);
      const { n, e } = await crypto.subtle.exportKey("jwk", pair.publicKey);
      const pkcs8 = new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey));
      const blob = join(string("ssh-rsa"), mpint(bytesOf(e)), mpint(bytesOf(n)));
      return ["ssh-rsa", blob, pem("RSA", pkcs8.subarray(26))];
    },
  };

  const make = async (kind, comment) => {
    if (kind !== "ed25519") return makers[kind](comment);
    try {
      return await makers.ed25519(comment);
    } catch (error) {
      if (error.name !== "NotSupportedError") throw error;
      return makers.ecdsa(comment);
    }
  };

  for (const maker of document.querySelectorAll("[data-maker]")) {
    const form = maker.closest("form");
    const area = form.querySelector("textarea");
    const said = maker.querySelector("[data-made]");
    const button = maker.querySelector("button");
    const link = maker.querySelector("a[download]");
    const able = Boolean(globalThis.crypto?.subtle);
    maker.querySelector(able ? "[data-able]" : "[data-unable]").hidden = false;
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        const kind = maker.querySelector("select").value;
        const comment = "made-in-the-browser";
        const [type, blob, file] = await make(kind, comment);
        area.value = `${type} ${base64(blob)} ${comment}`;
        URL.revokeObjectURL(link.href);
        link.href = URL.createObjectURL(new Blob([file], { type: "application/octet-stream" }));
        link.download = kind === "rsa" ? "tunnel-key-rsa.pem" : "tunnel-key";
        for (const name of maker.querySelectorAll("[data-file]")) name.textContent = link.download;
        said.hidden = false;
        link.click();
        form.querySelector("button[data-add]").focus();
        say("The private key is saved as a file. Add its public key now.");
      } catch (error) {
        say(`The browser couldn't make a key: ${error.message}`);
        maker.querySelector("[data-unable]").hidden = false;
      }
      button.disabled = false;
    });

    const take = async (file) => {
      if (file && file.size <= 20000) area.value = await file.text();
    };
    const chosen = form.querySelector("input[type=file]");
    chosen.closest("[hidden]").hidden = false;
    chosen.addEventListener("change", () => take(chosen.files[0]));
    area.addEventListener("dragover", (event) => event.preventDefault());
    area.addEventListener("drop", (event) => {
      if (!event.dataTransfer.files.length) return;
      event.preventDefault();
      take(event.dataTransfer.files[0]);
    });
  }
}
