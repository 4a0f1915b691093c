// A file for the user, named by date and time, as synthetic.

export function save(blob, ending) {
  const now = new Date();
  const local = new Date(now - 60_000 * now.getTimezoneOffset()).toISOString();
  const link = document.createElement("a");
  link.download = `synthetic-face-${local.slice(0, 19).replace("T", "-").replaceAll(":", "")}.${ending}`;
  link.href = URL.createObjectURL(blob);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  return link.download;
}
