/** Flags of mount(2) and umount2(2). */

/** MS_*; slave: mounts from outside arrive, and none of ours goes out. */
export const MountFlag = {
  readOnly: 0x1,
  noSuid: 0x2,
  noDev: 0x4,
  noExec: 0x8,
  remount: 0x20,
  bind: 0x1000,
  slave: 0x80000,
} as const;

export const MNT_DETACH = 2;
