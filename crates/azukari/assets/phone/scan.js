// A QR code of ours, read by the camera in this page, where the browser can (Barcode Detection API).
// Pictures stay in the phone; what is read is an address, and only one of ours is followed.

/// Whether this browser reads QR codes by itself.
export async function able() {
  try {
    return Boolean(navigator.mediaDevices?.getUserMedia) && (await BarcodeDetector.getSupportedFormats()).includes("qr_code");
  } catch { return false; }
}

const PAGES = ["/q", "/v", "/n", "/r"];
/// Where a code of ours leads; nothing for anybody else's.
function ours(text) {
  let address;
  try { address = new URL(text); } catch { return null; }
  return address.origin === location.origin && PAGES.includes(address.pathname) && address.hash.startsWith("#1.") ? address.href : null;
}

/// Looks until it sees a code of ours (its address) or is told to end (nothing); `foreign` hears of
/// others. Throws what the camera says where it is not to be had. Told to end, the camera is off at once.
export async function scan(video, ended, foreign) {
  const camera = await navigator.mediaDevices.getUserMedia({ video: { facingMode: { ideal: "environment" } }, audio: false });
  const off = () => {
    for (const track of camera.getTracks()) track.stop();
    video.srcObject = null;
  };
  ended.addEventListener("abort", off, { once: true });
  try {
    if (ended.aborted) return null;
    video.srcObject = camera;
    await video.play();
    const detector = new BarcodeDetector({ formats: ["qr_code"] });
    while (!ended.aborted) {
      for (const { rawValue } of await detector.detect(video)) {
        const address = ours(rawValue);
        if (address) return address;
        foreign();
      }
      await new Promise((on) => setTimeout(on, 150));
    }
  } catch (error) {
    if (!ended.aborted) throw error;
  } finally { off(); }
  return null;
}
