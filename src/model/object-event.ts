/** An object was noted, or found dead. */
export interface ObjectEvent {
  readonly event: 'object-created' | 'object-gone';
  readonly kind: string;
  /** The kernel's own id. */
  readonly hostId: number;
  /** The owner. */
  readonly namespace: number;
  /** The id there. */
  readonly id: number;
}
