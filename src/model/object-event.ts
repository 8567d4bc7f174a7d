/** An object was recorded, or found dead. */
export interface ObjectEvent {
  readonly event: 'object-created' | 'object-gone';
  readonly kind: string;
  /** The host id. */
  readonly hostId: number;
  /** The namespace that owns it. */
  readonly namespace: number;
  /** Its id in that namespace. */
  readonly id: number;
}
