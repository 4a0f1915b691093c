// Khronos' validator on a file: node gltf_validate.cjs MODULES FILE
const [modules, file] = process.argv.slice(2);
const { readFileSync } = require("node:fs");
const validator = require(`${modules}/gltf-validator`);
validator.validateBytes(new Uint8Array(readFileSync(file))).then((report) => {
  console.log(JSON.stringify({ version: validator.version(), ...report.issues, info: report.info }));
});
