"use strict";
// Makes an SSH key pair in this browser and registers its public part: the private part becomes a
// file here and is never sent.  A file with a passphrase is the pod's to make: forms go there.
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

  // PuTTY's manual, appendix C, version 3.  Browsers take no empty key for an HMAC; a zero is the same.
  const ppkFile = async (type, publicBlob, privateFields, comment) => {
    const key = await crypto.subtle.importKey("raw", new Uint8Array(1), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    const sealed = join(...[type, "none", comment, publicBlob, privateFields].map(string));
    const mac = new Uint8Array(await crypto.subtle.sign("HMAC", key, sealed));
    const lines = (name, bytes) => {
      const parts = base64(bytes).match(/.{1,64}/g);
      return [`${name}-Lines: ${parts.length}`, ...parts];
    };
    return [`PuTTY-User-Key-File-3: ${type}`, "Encryption: none", `Comment: ${comment}`, ...lines("Public", publicBlob),
      ...lines("Private", privateFields), `Private-MAC: ${Array.from(mac, (byte) => byte.toString(16).padStart(2, "0")).join("")}`, ""].join("\n");
  };

  const makers = {
    async ed25519(comment, putty) {
      const pair = await crypto.subtle.generateKey({ name: "Ed25519" }, true, ["sign", "verify"]);
      const { x, d } = await crypto.subtle.exportKey("jwk", pair.privateKey);
      const half = bytesOf(x);
      const blob = join(string("ssh-ed25519"), string(half));
      if (putty) return ["ssh-ed25519", blob, await ppkFile("ssh-ed25519", blob, string(bytesOf(d)), comment)];
      return ["ssh-ed25519", blob, opensshFile(blob, join(blob, string(join(bytesOf(d), half))), comment)];
    },
    async ecdsa(comment, putty) {
      const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
      const { x, y, d } = await crypto.subtle.exportKey("jwk", pair.privateKey);
      const point = join(new Uint8Array([4]), bytesOf(x), bytesOf(y));
      const blob = join(string("ecdsa-sha2-nistp256"), string("nistp256"), string(point));
      if (putty) return ["ecdsa-sha2-nistp256", blob, await ppkFile("ecdsa-sha2-nistp256", blob, mpint(bytesOf(d)), comment)];
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
    if (kind === "rsa") return makers.rsa();
    const putty = kind === "putty";
    try {
      return await makers.ed25519(comment, putty);
    } catch (error) {
      if (error.name !== "NotSupportedError") throw error;
      return makers.ecdsa(comment, putty);
    }
  };

  // The answer is the page that comes next: it takes this one's place, and gets the file.
  const show = async (answer, file) => {
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const content = document.getElementById("content");
    content.replaceChildren(...page.getElementById("content").childNodes);
    document.title = page.title;
    history.replaceState(null, "", answer.url);
    prepare();
    const link = content.querySelector("a[data-key-file]");
    if (!link) { content.querySelector("[autofocus]")?.focus(); return; }
    link.href = URL.createObjectURL(new Blob([file], { type: "application/octet-stream" }));
    link.hidden = false;
    link.click();
    content.focus();
    say(`The private key is saved as ${link.download}.`);
  };

  const equip = (form) => {
    const choice = form.querySelector("select");
    if (!globalThis.crypto?.subtle || choice.querySelector("[value=rsa]")) return;
    choice.append(new Option("Old tools: RSA 4096 (.pem)", "rsa"));
    form.querySelector("[data-here]").hidden = false;
  };

  document.addEventListener("submit", async (event) => {
    const form = event.target.closest("form[data-maker]");
    if (!form || !globalThis.crypto?.subtle || form.querySelector("[type=password]").value) return;
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    const comment = "tunnelcloud";
    let made;
    try {
      made = await make(form.querySelector("select").value, comment);
    } catch {
      form.submit();
      return;
    }
    const [type, blob, file] = made;
    const body = new URLSearchParams(new FormData(form));
    body.set("public_key", `${type} ${base64(blob)} ${comment}`);
    try {
      await show(await fetch(form.action, { method: "POST", body }), file);
    } catch {
      say("The pod doesn't answer. Look on the page Keys whether the key is registered, and make another.");
    }
    const next = document.querySelector("form[data-maker]");
    if (next) equip(next);
    button.disabled = false;
  });
  for (const form of document.querySelectorAll("form[data-maker]")) equip(form);
}

